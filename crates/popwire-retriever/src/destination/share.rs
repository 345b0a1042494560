//! A failure that several messages have in common.

use std::error::Error;
use std::io;

use crate::DeliveryError;

/// This error once more, for the next message that it keeps from being delivered.
pub(crate) fn share(error: &DeliveryError) -> DeliveryError {
    match error {
        DeliveryError::NotAMaildir { path, found } => {
            DeliveryError::NotAMaildir { path: path.clone(), found: found.clone() }
        }
        DeliveryError::DiskFull { doing, path, source }
        | DeliveryError::Permission { doing, path, source }
        | DeliveryError::Io { doing, path, source } => DeliveryError::io(doing, path, share_io(source)),
        DeliveryError::Spoiled { path } => DeliveryError::Spoiled { path: path.clone() },
        DeliveryError::Refused { destination, said, permanent } => DeliveryError::Refused {
            destination: destination.clone(),
            said: said.clone(),
            permanent: *permanent,
        },
        DeliveryError::Unavailable { destination, doing, source } => {
            let source: Box<dyn Error + Send + Sync> = match source.downcast_ref() {
                Some(reason) => share_io(reason).into(),
                None => source.to_string().into(),
            };
            DeliveryError::Unavailable { destination: destination.clone(), doing, source }
        }
    }
}

fn share_io(reason: &io::Error) -> io::Error {
    match reason.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(reason.kind(), reason.to_string()),
    }
}
