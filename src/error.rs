//! [`Failure`]: an error with the next steps beside it.

use std::any::Any;
use std::fmt;

/// An error message that also carries what to try next.
///
/// `anyhow` carries it through the layers; [`crate::report`] finds it in the chain and prints the hints below the message, each on a line of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hints: Vec<String>,
    mark: Option<Box<dyn Any + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), mark: None }
    }

    /// Adds a next step: a full sentence or a command that can be typed as it is.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds what code that branches wants to know of the error: a type of the layer that knows.
    pub(crate) fn marked(mut self, mark: impl Any + Send + Sync) -> Self {
        self.mark = Some(Box::new(mark));
        self
    }

    /// The mark of this type that an error carries, whatever was said around it.
    pub(crate) fn mark<T: Any>(error: &anyhow::Error) -> Option<&T> {
        error.downcast_ref::<Self>()?.mark.as_ref()?.downcast_ref()
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.mark.is_some()
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_by_its_type_below_what_was_said_around_it() {
        let error = anyhow::Error::new(Failure::new("gone").hint("look").marked(7_u8)).context("cannot do it").context("x");
        assert_eq!((Failure::mark::<u8>(&error), Failure::mark::<u16>(&error)), (Some(&7), None));
        assert_eq!(Failure::mark::<u8>(&anyhow::anyhow!("other")), None);
    }
}
