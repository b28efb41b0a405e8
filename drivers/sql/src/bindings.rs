//! What is bound to a statement's placeholders. Prints nothing.

use querygate_driver_api::execution::{Binding, BindingForm};
use std::collections::HashMap;

/// Bindings among which one is looked for in turn.
const FEW: usize = 16;

/// Bindings in the order of their placeholders, each once.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    all: Vec<Binding>,
    /// Where those behind the first [`FEW`] are: lists of keys have tens of thousands.
    places: HashMap<Binding, usize>,
}

impl Bindings {
    /// The placeholder, counted from 1, of a parameter in a form.
    pub(crate) fn number(&mut self, parameter: usize, form: BindingForm) -> usize {
        let binding = Binding { parameter, form };
        let mut few = self.all.iter().take(FEW);
        let known = few.position(|known| *known == binding).or_else(|| self.places.get(&binding).copied());
        1 + known.unwrap_or_else(|| {
            let place = self.all.len();
            if place >= FEW {
                self.places.insert(binding, place);
            }
            self.all.push(binding);
            debug_assert_eq!(self.places.len(), self.all.len().saturating_sub(FEW), "each later binding has its place");
            place
        })
    }

    /// The placeholder that a new binding would get.
    pub(crate) fn next_number(&self) -> usize {
        self.all.len() + 1
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Binding> {
        self.all.iter()
    }

    pub(crate) fn take(&mut self) -> Vec<Binding> {
        std::mem::take(self).all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_one_place_for_each_form_however_many_there_are() {
        let mut bindings = Bindings::default();
        for round in 0..2 {
            for parameter in 0..40 {
                assert_eq!(bindings.number(parameter, BindingForm::Value), parameter + 1, "{round}");
            }
        }
        assert_eq!(bindings.next_number(), 41);
        assert_eq!(bindings.number(3, BindingForm::NonEmpty), 41);
        assert_eq!(bindings.number(3, BindingForm::NonEmpty), 41);
        assert_eq!(bindings.take().len(), 41);
    }
}
