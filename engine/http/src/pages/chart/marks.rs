//! What is drawn into a frame: bars, lines, points, lanes of a timeline, sparks. Draws no axis.

use super::frame::{Frame, Size, at, line, micros, moments, rectangle, svg, text, tick};
use super::scale::Scale;
use crate::pages::format;
use crate::pages::html::{Html, classed, element};

/// A stretch of time and what was counted in it, one number for each name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    /// Microseconds since 1970.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) counts: Vec<f64>,
}

/// Stacked bars; the classes give each part its colour.
pub(crate) fn bars(frame: &mut Frame, bars: &[Bar], names: &[(&'static str, &'static str)]) {
    for bar in bars {
        let (left, right) = (frame.x.place(micros(bar.from)), frame.x.place(micros(bar.to)));
        let shown = |(count, (name, _)): (&f64, &(&str, &str))| format!("{} {name}", format::count(*count));
        let counts = bar.counts.iter().zip(names).filter(|(count, _)| **count > 0.0).map(shown);
        let tip = format!(
            "{} – {}\n{}",
            format::clock(bar.from),
            format::clock(bar.to),
            counts.collect::<Vec<_>>().join(", ")
        );
        let mut below = 0.0;
        for (count, (_, class)) in bar.counts.iter().zip(names).filter(|(count, _)| **count > 0.0) {
            let (bottom, top) = (frame.y.place(below), frame.y.place(below + count));
            let size = (right - left - 1.0, bottom - top);
            frame.inner.push(rectangle(class, (left + 0.5, top), size, frame.size.tooltip(&tip)));
            below += count;
        }
    }
}

/// Points that belong together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    pub(crate) class: &'static str,
    /// (x, y) in the frame's values.
    pub(crate) points: Vec<(f64, f64)>,
}

/// One line for each series.
pub(crate) fn lines(frame: &mut Frame, series: &[Series]) {
    for one in series.iter().filter(|one| one.points.len() > 1) {
        let places = one.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let path: Vec<String> =
            places.map(|(x, y)| format!("{},{}", at(frame.x.place(*x)), at(frame.y.place(*y)))).collect();
        let class = format!("line {}", one.class);
        frame.inner.push(element("polyline", &[("class", &class), ("points", &path.join(" "))], ""));
    }
}

/// A point with a tooltip.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) class: &'static str,
    pub(crate) tip: String,
}

pub(crate) fn points(frame: &mut Frame, marks: &[Mark]) {
    for mark in marks {
        let (x, y) = (at(frame.x.place(mark.x)), at(frame.y.place(mark.y)));
        let class = format!("dot {}", mark.class);
        let attributes = [("class", class.as_str()), ("cx", &x), ("cy", &y), ("r", "2.6")];
        frame.inner.push(element("circle", &attributes, frame.size.tooltip(&mark.tip)));
    }
}

/// A row of a timeline.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) name: String,
    /// From, to (microseconds since 1970), class, tooltip.
    pub(crate) spans: Vec<(i64, i64, &'static str, String)>,
}

/// How a timeline is divided.
struct Lanes {
    /// Height of one.
    height: f64,
    /// Where its bar begins below its top.
    above: f64,
    /// Room for names to the left of the bars; none where they stand above them.
    names: f64,
    /// Characters of a name that fit.
    name_chars: usize,
}

impl Lanes {
    const fn of(size: Size) -> Self {
        match size {
            Size::Wide => Self { height: 28.0, above: 6.0, names: 190.0, name_chars: 28 },
            Size::Narrow => Self { height: 46.0, above: 24.0, names: 4.0, name_chars: 52 },
        }
    }
}

const BAR: f64 = 16.0;
const FOOT: f64 = 28.0;

/// Rows of stretches over the same time.
pub(crate) fn timeline(size: Size, label: &'static str, (first, last): (i64, i64), lanes: &[Lane]) -> Html {
    let form = Lanes::of(size);
    #[allow(clippy::cast_precision_loss, reason = "a page has few lanes")]
    let height = form.height * lanes.len() as f64 + FOOT;
    let last = last.max(first.saturating_add(1_000_000));
    let x = Scale::linear((micros(first), micros(last)), (form.names, size.width() - 16.0));
    let mut inner = Html::default();
    for (place, shown) in moments(size, &x, (first, last)) {
        inner.push(line("grid", (place, 0.0), (place, height - FOOT)));
        inner.push(tick(size, place, height - 8.0, &shown));
    }
    let mut top = 0.0;
    for lane in lanes {
        let short: String = lane.name.chars().take(form.name_chars).collect();
        let shown = if short.len() < lane.name.len() { format!("{short}…") } else { short };
        inner.push(text("lane", 0.0, top + 18.0, &shown));
        inner.push(line("grid", (0.0, top + form.height), (size.width(), top + form.height)));
        for (from, to, class, tip) in &lane.spans {
            let (left, right) = (x.place(micros(*from)), x.place(micros(*to)));
            let bar = ((right - left).max(5.0), BAR);
            inner.push(rectangle(class, (left, top + form.above), bar, size.tooltip(tip)));
        }
        top += form.height;
    }
    svg(size.class(), label, size.width(), height, inner)
}

/// A small line without axes.
pub(crate) fn spark(values: &[f64]) -> Html {
    let (width, height) = (120.0, 26.0);
    let high = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    if values.len() < 2 || high <= 0.0 {
        return Html::default();
    }
    #[allow(clippy::cast_precision_loss, reason = "a spark has few values")]
    let step = (width - 2.0) / (values.len() - 1) as f64;
    let y = Scale::linear((0.0, high), (height - 2.0, 2.0));
    let mut x = 1.0;
    let mut path = Vec::with_capacity(values.len());
    for value in values {
        path.push(format!("{},{}", at(x), at(y.place(*value))));
        x += step;
    }
    let line = element("polyline", &[("class", "line s0"), ("points", &path.join(" "))], "");
    classed("span", "spark", svg("", "runs over time", width, height, line))
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, NOTHING};
    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn a_chart_is_well_formed_and_escapes_its_texts() {
        let axis = Axis::from_zero([3.0], format::count);
        let mut frame = Frame::over_time(Size::Wide, "<b>", (0, 10 * MINUTE), axis, 200.0);
        let one = Bar { from: 0, to: MINUTE, counts: vec![2.0, 1.0] };
        bars(&mut frame, &[one], &[("<ok>", "s0"), ("failed", "s1")]);
        points(&mut frame, &[Mark { x: 1.0, y: 2.0, class: "s0", tip: "</title><script>".to_owned() }]);
        lines(&mut frame, &[Series { class: "s2", points: vec![(0.0, 1.0), (f64::NAN, 2.0), (9.0, 3.0)] }]);
        let made = frame.finish().into_string();
        assert!(!made.contains("<script") && !made.contains("<ok>") && !made.contains("<b>"), "{made}");
        assert!(!made.contains("NaN") && !made.contains("inf") && !made.contains("style="), "{made}");
        assert_eq!(made.matches("<rect").count(), 2);
        for tag in ["svg", "rect", "line", "text", "title", "circle", "polyline"] {
            assert_eq!(made.matches(&format!("<{tag}")).count(), made.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn what_is_empty_or_odd_is_drawn_too() {
        assert!(spark(&[]).is_empty() && spark(&[1.0]).is_empty() && spark(&[0.0, 0.0]).is_empty());
        assert!(!spark(&[1.0, f64::NAN, 2.0]).into_string().contains("NaN"));
        let axis = Axis::by_powers([], format::millis);
        let empty = Frame::over_time(Size::Narrow, "x", (i64::MAX - 1, i64::MAX), axis, 100.0);
        assert!(empty.finish().into_string().contains("<svg"));
        let lane = Lane { name: "a".repeat(100), spans: vec![(5, 1, "s1", String::new())] };
        for size in [Size::Wide, Size::Narrow] {
            assert!(timeline(size, "x", (0, 0), std::slice::from_ref(&lane)).into_string().contains("…"));
        }
        let lasting = Lane { name: "a".to_owned(), spans: Vec::new() };
        let made = timeline(Size::Narrow, "x", (MINUTE - 1, 3 * MINUTE), &[lasting]).into_string();
        for (class, x) in [("tick", "4.0"), ("tick middle", "204.0"), ("tick end", "404.0")] {
            assert!(made.contains(&format!("class=\"{class}\" x=\"{x}\"")), "no text leaves the drawing: {made}");
        }
        assert!(!NOTHING.is_empty());
    }
}
