//! The frame of a chart: axes, grid, ticks. Draws no data.

use super::scale::{Scale, round_down, round_up, time_ticks};
use crate::pages::format;
use crate::pages::html::{Html, element};

/// A drawing is made for wide and for narrow screens, and the style sheet shows one of them: what is scaled down to a telephone is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Wide,
    Narrow,
}

impl Size {
    /// Units of the drawing; the page scales it to its column.
    pub(super) const fn width(self) -> f64 {
        match self {
            Self::Wide => 960.0,
            Self::Narrow => 420.0,
        }
    }

    /// Moments of a time axis whose texts fit.
    pub(super) const fn ticks(self) -> i64 {
        match self {
            Self::Wide => 8,
            Self::Narrow => 3,
        }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Wide => "chart wide",
            Self::Narrow => "chart narrow",
        }
    }

    /// What a pointer that rests on a mark sees; narrow screens have no pointer that rests.
    pub(super) fn tooltip(self, tip: &str) -> Html {
        if tip.is_empty() || self == Self::Narrow { Html::default() } else { element("title", &[], tip) }
    }
}

/// One drawing, in both sizes.
pub(crate) fn both(draw: impl Fn(Size) -> Html) -> Html {
    [draw(Size::Wide), draw(Size::Narrow)].into()
}

const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
/// Two lines of text: of the lowest value, and of moments below it.
const BOTTOM: f64 = 30.0;
/// Where moments stand below the lowest value's line.
const MOMENTS: f64 = 22.0;

/// How a value axis is.
#[derive(Clone, Copy)]
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) logarithmic: bool,
    /// A tick's text.
    pub(crate) show: fn(f64) -> String,
}

impl Axis {
    /// From zero to a little above the greatest value.
    pub(crate) fn from_zero(values: impl IntoIterator<Item = f64>, show: fn(f64) -> String) -> Self {
        let high = values.into_iter().filter(|v| v.is_finite()).fold(0.0, f64::max);
        Self { low: 0.0, high: if high > 0.0 { high * 1.08 } else { 1.0 }, logarithmic: false, show }
    }

    /// By powers of ten around the values.
    pub(crate) fn by_powers(values: impl IntoIterator<Item = f64>, show: fn(f64) -> String) -> Self {
        let positive = values.into_iter().filter(|v| v.is_finite() && *v > 0.0);
        let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if high > 0.0 { (low, high) } else { (1.0, 10.0) };
        let (low, high) = (round_down(low), round_up(high * 1.05).max(low * 4.0));
        Self { low, high, logarithmic: true, show }
    }

    /// Around values of either sign, zero within.
    pub(crate) fn around_zero(values: impl IntoIterator<Item = f64>, show: fn(f64) -> String) -> Self {
        let finite = values.into_iter().filter(|v| v.is_finite());
        let (low, high) = finite.fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let room = (high - low).max(1e-9) * 0.06;
        Self { low: if low < 0.0 { low - room } else { 0.0 }, high: high + room, logarithmic: false, show }
    }
}

/// A drawing with axes, to which marks are added.
pub(crate) struct Frame {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) inner: Html,
    pub(super) size: Size,
    height: f64,
    label: &'static str,
}

impl Frame {
    /// Time runs to the right, in microseconds since 1970.
    pub(crate) fn over_time(
        size: Size,
        label: &'static str,
        (first, last): (i64, i64),
        axis: Axis,
        height: f64,
    ) -> Self {
        let last = last.max(first.saturating_add(1_000_000));
        let ends = (LEFT, size.width() - RIGHT);
        let x = Scale::linear((micros(first), micros(last)), ends);
        let mut frame = Self::with(size, label, x, axis, height);
        for (place, shown) in moments(size, &x, (first, last)) {
            frame.x_tick(place, &shown);
        }
        frame
    }

    fn with(size: Size, label: &'static str, x: Scale, axis: Axis, height: f64) -> Self {
        let places = (height - BOTTOM, TOP);
        let y = if axis.logarithmic {
            Scale::logarithmic((axis.low, axis.high), places)
        } else {
            Scale::linear((axis.low, axis.high), places)
        };
        let mut frame = Self { x, y, inner: Html::default(), size, height, label };
        for value in y.ticks(4) {
            let place = y.place(value);
            frame.inner.push(line("grid", (LEFT, place), (size.width() - RIGHT, place)));
            frame.inner.push(text("tick end", LEFT - 8.0, place + 4.0, &(axis.show)(value)));
        }
        frame
    }

    fn x_tick(&mut self, place: f64, shown: &str) {
        self.inner.push(line("axis", (place, self.height - BOTTOM), (place, self.height - BOTTOM + 4.0)));
        self.inner.push(tick(self.size, place, self.height - BOTTOM + MOMENTS, shown));
    }

    /// Where the value axis has its lowest value.
    pub(super) fn floor(&self) -> f64 {
        self.height - BOTTOM
    }

    /// The finished drawing.
    pub(crate) fn finish(mut self) -> Html {
        let width = self.size.width();
        self.inner.push(line("axis", (LEFT, self.floor()), (width - RIGHT, self.floor())));
        svg(self.size.class(), self.label, width, self.height, self.inner)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a pixel is worth many microseconds")]
pub(crate) fn micros(value: i64) -> f64 {
    value as f64
}

pub(super) fn svg(class: &'static str, label: &str, width: f64, height: f64, inside: Html) -> Html {
    let view = format!("0 0 {width} {height}");
    element("svg", &[("class", class), ("viewBox", &view), ("role", "img"), ("aria-label", label)], inside)
}

/// A place with one decimal: finer is not seen and only makes pages longer.
pub(super) fn at(value: f64) -> String {
    format!("{value:.1}")
}

pub(super) fn line(class: &'static str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Html {
    let places = [("x1", at(x1)), ("y1", at(y1)), ("x2", at(x2)), ("y2", at(y2))];
    let mut attributes = vec![("class", class)];
    attributes.extend(places.iter().map(|(name, place)| (*name, place.as_str())));
    element("line", &attributes, "")
}

pub(super) fn text(class: &'static str, x: f64, y: f64, shown: &str) -> Html {
    element("text", &[("class", class), ("x", &at(x)), ("y", &at(y))], shown)
}

/// Half of what the text of a moment takes.
const HALF_TICK: f64 = 36.0;

/// Where the text below a moment stands, and its class. It does not leave the drawing at either end.
fn text_of_tick(size: Size, x: f64) -> (&'static str, f64) {
    match x {
        x if x < HALF_TICK => ("tick", x),
        x if x > size.width() - HALF_TICK => ("tick end", x - 2.0 * HALF_TICK),
        _ => ("tick middle", x - HALF_TICK),
    }
}

/// Places and texts of moments of a time axis: a text that would meet the one before it is left out.
pub(super) fn moments(size: Size, x: &Scale, (first, last): (i64, i64)) -> Vec<(f64, String)> {
    let (step, ticks) = time_ticks(first, last, size.ticks());
    let mut free = f64::NEG_INFINITY;
    let mut shown = Vec::new();
    for moment in ticks {
        let place = x.place(micros(moment));
        let (_, left) = text_of_tick(size, place);
        if left >= free {
            free = left + 2.0 * HALF_TICK;
            shown.push((place, format::tick(moment, step)));
        }
    }
    shown
}

/// The text below a moment of a time axis.
pub(super) fn tick(size: Size, x: f64, y: f64, shown: &str) -> Html {
    text(text_of_tick(size, x).0, x, y, shown)
}

/// A rectangle with what is said of it.
pub(super) fn rectangle(class: &str, (x, y): (f64, f64), (width, height): (f64, f64), tip: Html) -> Html {
    let (x, y, width, height) = (at(x), at(y), at(width.max(0.0)), at(height.max(0.0)));
    let attributes = [("class", class), ("x", &x), ("y", &y), ("width", &width), ("height", &height)];
    element("rect", &attributes, tip)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of narrow screens is 18 units high.
    #[test]
    fn moments_stand_below_the_lowest_value() {
        let axis = Axis::from_zero([1.0], format::count);
        let drawn = Frame::over_time(Size::Narrow, "x", (0, 60_000_000), axis, 200.0).finish().into_string();
        let texts = drawn.split("<text").skip(1).map(|text| text.split_once(" y=\"").unwrap().1);
        let mut lines: Vec<f64> = texts.map(|text| text.split_once('"').unwrap().0.parse().unwrap()).collect();
        lines.sort_by(f64::total_cmp);
        lines.dedup();
        let [.., lowest, moments] = lines[..] else { panic!("{drawn}") };
        assert!(moments - lowest >= 18.0 && moments <= 196.0, "{drawn}");
    }

    /// Whenever a page is looked at, and whatever it spans.
    #[test]
    fn texts_of_moments_never_meet() {
        const SECOND: i64 = 1_000_000;
        for size in [Size::Wide, Size::Narrow] {
            for (first, span) in (0..400).flat_map(|at| [31, 59, 89, 119, 600].map(|span| (at * SECOND, span * SECOND)))
            {
                let x = Scale::linear((micros(first), micros(first + span)), (LEFT, size.width() - RIGHT));
                let shown = moments(size, &x, (first, first + span));
                let lefts: Vec<f64> = shown.iter().map(|(place, _)| text_of_tick(size, *place).1).collect();
                assert!(
                    !shown.is_empty() && lefts.windows(2).all(|pair| pair[1] - pair[0] >= 2.0 * HALF_TICK),
                    "{shown:?}"
                );
            }
        }
    }
}
