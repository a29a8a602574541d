//! What can be wrong with bytes that should be a record, or with a record that
//! should become bytes.

use std::fmt::Display;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the input ends inside a record")]
    UnexpectedEnd,
    #[error("negative length {0}")]
    NegativeLength(i32),
    #[error("length {length} is above the limit of {max}")]
    TooLong { length: usize, max: usize },
    #[error("null where a value is required")]
    Null,
    /// Reading such a vector would do nothing as often as its count says.
    #[error("vector of elements without bytes")]
    EmptyElement,
    #[error("the output buffer is full")]
    OutputFull,
    #[error("jute has no encoding for {0}")]
    Unsupported(&'static str),
    #[error("{0}")]
    Message(Box<str>),
}

impl serde::de::Error for Error {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        Error::Message(message.to_string().into_boxed_str())
    }
}

impl serde::ser::Error for Error {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        Error::Message(message.to_string().into_boxed_str())
    }
}
