//! What lists the tokens: a file that may change, or a text that stays as it is?

use std::convert::Infallible;
use std::future::pending;

use prometheus_client::registry::Registry;

use super::file::{TokensFile, TokensInForce};
use super::tokens::{BadLine, Tokens};

/// What lists the tokens.
pub enum Source {
    /// A file, which is looked at again and again.
    File(TokensFile),
    /// The value of a setting, for where nothing can mount a file: it changes by a restart.
    Text(TokensInForce),
}

impl Source {
    /// The list that this text is.
    ///
    /// # Errors
    /// Where a line can't be understood.
    pub fn read(text: &str) -> Result<Self, BadLine> {
        Ok(Self::Text(text.parse::<Tokens>()?.into()))
    }

    /// Tells in the metrics whether a file is in force; a text always is.
    pub fn register(&self, registry: &mut Registry) {
        match self {
            Self::File(file) => file.register(registry),
            Self::Text(_) => {}
        }
    }

    /// The tokens, now and after every change.
    #[must_use]
    pub fn tokens(&self) -> TokensInForce {
        match self {
            Self::File(file) => file.tokens(),
            Self::Text(tokens) => tokens.clone(),
        }
    }

    /// Looks for changes, until it is dropped.
    pub async fn watch(self) -> Infallible {
        match self {
            Self::File(file) => file.watch().await,
            Self::Text(_) => pending().await,
        }
    }
}
