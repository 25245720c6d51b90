//! The class of an error.

/// The class of an error, which determines the exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// A disk, a network, a server or a lake failed.
    Failed,
    /// The command, the configuration or a rule is invalid.
    Invalid,
    /// The data were refused: nothing was billed or issued.
    Refused,
}

impl ErrorClass {
    /// The exit code of a command that ends with an error of this class.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::Refused => 3,
        }
    }
}
