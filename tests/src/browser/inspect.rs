//! What a person would find wrong with a page at a glance, found by a script in the page. Knows no page.

use super::Browser;

/// Lists faults: what did not load, what leaves the screen, what is too small, narrow or crowded to be read. Firefox' box of a
/// text is a pixel wider than its letters.
const SCRIPT: &str = r"
const faults = [];
for (const one of performance.getEntriesByType('resource')) {
  if (one.responseStatus >= 400) faults.push(`${one.name}: ${one.responseStatus}`);
}
for (const link of document.querySelectorAll('link[rel=stylesheet]')) if (!link.sheet) faults.push(`${link.href} is not there`);
const all = document.documentElement;
if (all.scrollWidth > innerWidth) {
  const wide = [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1);
  faults.push(`${all.scrollWidth} px of ${innerWidth}: ${wide.slice(0, 3).map(one => one.outerHTML.slice(0, 80)).join(' ')}`);
}
for (const svg of document.querySelectorAll('svg')) {
  const frame = svg.getBoundingClientRect();
  if (frame.width === 0) continue;
  const seen = [];
  for (const text of svg.querySelectorAll('text')) {
    const size = parseFloat(getComputedStyle(text).fontSize) * frame.width / svg.viewBox.baseVal.width;
    const box = text.getBoundingClientRect();
    const name = `label ${text.textContent}`;
    if (size < 9) faults.push(`${name} has ${size.toFixed(1)} px`);
    if (box.left < frame.left - 2 || box.right > frame.right + 2) faults.push(`${name} is cut off: ${box.left} to ${box.right} of ${frame.left} to ${frame.right}`);
    const over = seen.find(o => box.left < o.right && o.left < box.right && box.top < o.bottom - 3 && o.top < box.bottom - 3);
    if (over) faults.push(`${name} lies over another`);
    seen.push(box);
  }
}
for (const cell of document.querySelectorAll('main td')) {
  const box = cell.getBoundingClientRect();
  if (box.width > 0 && box.width < 60 && box.height > 200) faults.push(`a column of ${Math.round(box.width)} px: ${cell.innerText.slice(0, 60)}`);
}
for (const control of document.querySelectorAll('button, input:not([type=hidden]), textarea')) {
  const box = control.getBoundingClientRect();
  if (box.width > 0 && (box.left < 0 || box.right > innerWidth)) faults.push(`cannot be reached: ${control.outerHTML.slice(0, 80)}`);
}
return faults;
";

/// Faults of the page that is open, with what the browser complained of.
///
/// # Panics
/// When the page cannot be looked at.
#[must_use]
pub fn faults(browser: &Browser) -> Vec<String> {
    let found = browser.script(SCRIPT);
    let found = found.as_array().unwrap_or_else(|| panic!("no list of faults: {found}"));
    let mut faults: Vec<String> = found.iter().map(ToString::to_string).collect();
    faults.extend(browser.complaints());
    faults
}

/// Leaves out of later faults what happened so far, as where a page was refused something on purpose.
pub fn forgive(browser: &Browser) {
    let _ = browser.script("performance.clearResourceTimings()");
    let _ = browser.complaints();
}
