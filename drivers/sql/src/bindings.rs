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
        1 + self.known(&binding).unwrap_or_else(|| {
            let place = self.all.len();
            if place >= FEW {
                self.places.insert(binding, place);
            }
            self.all.push(binding);
            debug_assert_eq!(self.places.len(), self.all.len().saturating_sub(FEW), "each later binding has its place");
            place
        })
    }

    /// The placeholder that a parameter in a form has, or would get.
    pub(crate) fn number_for(&self, parameter: usize, form: BindingForm) -> usize {
        1 + self.known(&Binding { parameter, form }).unwrap_or(self.all.len())
    }

    fn known(&self, binding: &Binding) -> Option<usize> {
        let mut few = self.all.iter().take(FEW);
        few.position(|known| known == binding).or_else(|| self.places.get(binding).copied())
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
        assert_eq!(bindings.number_for(3, BindingForm::NonEmpty), 41);
        assert_eq!(bindings.number_for(30, BindingForm::Value), 31);
        assert_eq!(bindings.number(3, BindingForm::NonEmpty), 41);
        assert_eq!(bindings.number(3, BindingForm::NonEmpty), 41);
        assert_eq!(bindings.take().len(), 41);
    }
}
