//! What is in the mailbox: LIST and UIDL, joined by number.

use std::collections::BTreeMap;

use popwire::blocking::Client;
use popwire::{MessageNumber, Result, Text};

/// A message as the server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Its number in this session.
    pub number: MessageNumber,
    /// Its size in octets, as the server counts it: a hint.
    pub octets: Option<u64>,
    /// Its unique-id, if the server has one for it.
    pub uid: Option<Text>,
}

/// The mailbox as the server lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The messages, in the order of their numbers.
    pub messages: Vec<Listed>,
    /// Lines of the server's listings that could not be read: there may be a message behind each.
    pub unreadable: usize,
}

impl Listing {
    /// Asks the server, by LIST, and by UIDL where it has that. A message that only one of the two lists is there too.
    ///
    /// # Errors
    ///
    /// Those of the session, and a refusal of LIST; a refusal of UIDL is none.
    pub fn ask(client: &mut Client) -> Result<Self> {
        let inventory = client.inventory()?;
        let mut messages = BTreeMap::new();
        let mut unreadable = 0;
        match inventory.scans {
            Ok(scans) => {
                unreadable += scans.skipped();
                for scan in scans.iter() {
                    messages.insert(scan.number, Listed { octets: scan.octets, ..Listed::new(scan.number) });
                }
            }
            // Some servers have no listing of nothing.
            Err(error) if error.is_refused() && inventory.stat.is_ok_and(|stat| stat.messages == 0) => {}
            Err(error) => return Err(error),
        }
        match inventory.unique_ids {
            Ok(uids) => {
                unreadable += uids.skipped();
                for (number, uid) in uids.iter().filter(|(_, uid)| !uid.is_blank()) {
                    let listed = messages.entry(number).or_insert_with(|| Listed::new(number));
                    listed.uid = Some(uid.as_bytes().into());
                }
            }
            // What a server answers instead of ids is no reason to leave mail behind.
            Err(error) if error.is_refused() || error.protocol().is_some_and(is_one_answer) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { messages: messages.into_values().collect(), unreadable })
    }

    /// The size of all messages together, in octets, if the server says it for each.
    #[must_use]
    pub fn octets(&self) -> Option<u64> {
        self.messages.iter().try_fold(0_u64, |sum, listed| Some(sum.saturating_add(listed.octets?)))
    }
}

impl Listed {
    fn new(number: MessageNumber) -> Self {
        Self { number, octets: None, uid: None }
    }
}

/// Whether the fault is in one answer, which was read to its end.
fn is_one_answer(error: &popwire::proto::Error) -> bool {
    use popwire::proto::Error as Proto;
    matches!(error, Proto::Malformed { .. } | Proto::LineTooLong { .. } | Proto::TooLarge { .. })
}
