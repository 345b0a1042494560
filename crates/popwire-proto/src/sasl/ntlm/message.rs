//! The three messages of NTLM (MS-NLMP section 2.2.1), and what is computed for them with NTLMv2 (section 3.3.2). All
//! numbers are little-endian. Whatever a message says about offsets and lengths is checked before it is believed.

use std::time::Duration;

use md4::{Digest as _, Md4};
use md5::Md5;

use super::seal;
use crate::Secret;
use crate::sasl::Nonce;
use crate::sasl::crypto::hmac_md5;

/// With what every message begins.
const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// The bits of NegotiateFlags (MS-NLMP section 2.2.2.5) that are used here.
pub(in crate::sasl) mod flag {
    pub(in crate::sasl) const UNICODE: u32 = 0x0000_0001;
    pub(in crate::sasl) const OEM: u32 = 0x0000_0002;
    pub(in crate::sasl) const REQUEST_TARGET: u32 = 0x0000_0004;
    pub(in crate::sasl) const NTLM: u32 = 0x0000_0200;
    pub(in crate::sasl) const ALWAYS_SIGN: u32 = 0x0000_8000;
    pub(in crate::sasl) const TARGET_TYPE_SERVER: u32 = 0x0002_0000;
    pub(in crate::sasl) const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
    pub(in crate::sasl) const TARGET_INFO: u32 = 0x0080_0000;
}

/// The numbers of the attributes (MS-NLMP section 2.2.2.1) that are used here.
pub(in crate::sasl) mod av {
    pub(in crate::sasl) const EOL: u16 = 0;
    pub(in crate::sasl) const NB_COMPUTER_NAME: u16 = 1;
    pub(in crate::sasl) const NB_DOMAIN_NAME: u16 = 2;
    pub(in crate::sasl) const FLAGS: u16 = 6;
    pub(in crate::sasl) const TIMESTAMP: u16 = 7;
}

/// The bit of MsvAvFlags that says that there is a MIC.
pub(in crate::sasl) const MIC_PRESENT: u32 = 2;

/// Where the MIC stands in an AUTHENTICATE_MESSAGE.
const MIC_AT: usize = 72;

/// An attribute and its value.
pub(in crate::sasl) type Pair<'a> = (u16, &'a [u8]);

/// The NEGOTIATE_MESSAGE (MS-NLMP section 2.2.1.1). It names neither domain nor workstation: the server need not know.
pub(in crate::sasl) fn negotiate(flags: u32) -> Vec<u8> {
    let mut message = Fields::new(1, 32);
    message.number(flags);
    message.empty();
    message.empty();
    message.finish()
}

/// The flags of a NEGOTIATE_MESSAGE.
pub(in crate::sasl) fn parse_negotiate(message: &[u8]) -> Option<u32> {
    let flags = u32_at(message, 12)?;
    is_type(message, 1).then_some(flags)
}

/// The CHALLENGE_MESSAGE (MS-NLMP section 2.2.1.2), as far as it matters.
pub(in crate::sasl) struct Challenge<'a> {
    pub(in crate::sasl) flags: u32,
    /// The server's challenge.
    pub(in crate::sasl) nonce: [u8; 8],
    /// Empty if the server tells nothing of itself.
    pub(in crate::sasl) pairs: Vec<Pair<'a>>,
}

impl<'a> Challenge<'a> {
    /// Reads one.
    pub(in crate::sasl) fn parse(message: &'a [u8]) -> Result<Self, &'static str> {
        let (true, Some(flags), Some(nonce)) =
            (is_type(message, 2), u32_at(message, 20), eight_at(message, 24))
        else {
            return Err("it is no CHALLENGE_MESSAGE of NTLM");
        };
        // Fields that the flags do not announce are not looked at: older servers leave them out altogether.
        if flags & flag::REQUEST_TARGET != 0 && field(message, 12, 32).is_none() {
            return Err("its target name lies outside of it");
        }
        let mut list = Vec::new();
        if flags & flag::TARGET_INFO != 0 {
            let info = field(message, 40, 48).ok_or("its target information lies outside of it")?;
            if !info.is_empty() {
                list = pairs(info).ok_or("its target information does not end")?;
            }
        }
        Ok(Self { flags, nonce, pairs: list })
    }

    /// Writes one.
    pub(in crate::sasl) fn encode(&self, target: &[u8]) -> Option<Vec<u8>> {
        let mut message = Fields::new(2, 48);
        message.field(target)?;
        message.number(self.flags);
        message.octets(&self.nonce);
        message.octets(&[0; 8]);
        message.field(&self.list())?;
        Some(message.finish())
    }

    /// MsvAvTimestamp, if the server tells the time.
    pub(in crate::sasl) fn timestamp(&self) -> Result<Option<u64>, &'static str> {
        match self.pairs.iter().find(|(id, _)| *id == av::TIMESTAMP) {
            None => Ok(None),
            Some((_, value)) => match <[u8; 8]>::try_from(*value) {
                Ok(octets) => Ok(Some(u64::from_le_bytes(octets))),
                Err(_) => Err("its timestamp has not eight octets"),
            },
        }
    }

    /// The target information as it was said.
    pub(in crate::sasl) fn list(&self) -> Vec<u8> {
        list(&self.pairs)
    }

    /// The target information, with word that the client sends a MIC. It stands within what the password protects, so
    /// nobody can take the MIC off.
    pub(in crate::sasl) fn list_with_mic(&self) -> Result<Vec<u8>, &'static str> {
        let said = match self.pairs.iter().find(|(id, _)| *id == av::FLAGS) {
            None => 0,
            Some((_, value)) => {
                u32::from_le_bytes(<[u8; 4]>::try_from(*value).map_err(|_| "its flags have not four octets")?)
            }
        };
        let flags = (said | MIC_PRESENT).to_le_bytes();
        let mut pairs = self.pairs.clone();
        match pairs.iter_mut().find(|(id, _)| *id == av::FLAGS) {
            Some((_, value)) => *value = &flags,
            None => pairs.push((av::FLAGS, &flags)),
        }
        Ok(list(&pairs))
    }
}

/// The AUTHENTICATE_MESSAGE (MS-NLMP section 2.2.1.3).
pub(in crate::sasl) struct Authenticate<'a> {
    pub(in crate::sasl) flags: u32,
    /// LmChallengeResponse.
    pub(in crate::sasl) lm: &'a [u8],
    /// NtChallengeResponse: NTProofStr, then `temp`.
    pub(in crate::sasl) nt: &'a [u8],
    /// In UTF-16, as all names are.
    pub(in crate::sasl) domain: &'a [u8],
    pub(in crate::sasl) user: &'a [u8],
}

impl<'a> Authenticate<'a> {
    /// Reads one.
    pub(in crate::sasl) fn parse(message: &'a [u8]) -> Option<Self> {
        if !is_type(message, 3) {
            return None;
        }
        Some(Self {
            lm: field(message, 12, 64)?,
            nt: field(message, 20, 64)?,
            domain: field(message, 28, 64)?,
            user: field(message, 36, 64)?,
            flags: u32_at(message, 60)?,
        })
    }

    /// Writes one; `None` if a field is too long. The workstation is not told, and there is no session key to hand over.
    pub(in crate::sasl) fn encode(&self, mic: Option<[u8; 16]>) -> Option<Vec<u8>> {
        let mut message = Fields::new(3, if mic.is_some() { MIC_AT + 16 } else { MIC_AT });
        message.field(self.lm)?;
        message.field(self.nt)?;
        message.field(self.domain)?;
        message.field(self.user)?;
        message.empty();
        message.empty();
        message.number(self.flags);
        // Version: all zero, since it is not negotiated.
        message.octets(&[0; 8]);
        message.octets(mic.as_ref().map_or(&[], |mic| mic.as_slice()));
        Some(message.finish())
    }

    /// The MIC of a message, and the message as it was before the MIC was in it.
    pub(in crate::sasl) fn take_mic(message: &[u8]) -> Option<([u8; 16], Vec<u8>)> {
        let mic = *message.get(MIC_AT..)?.first_chunk::<16>()?;
        let mut blank = message.to_vec();
        blank.get_mut(MIC_AT..)?.first_chunk_mut::<16>()?.fill(0);
        Some((mic, blank))
    }

    /// NTProofStr, `temp`, and the attributes within `temp`. `None` if the response is none of NTLMv2.
    pub(in crate::sasl) fn proof(&self) -> Option<(&'a [u8], &'a [u8], Vec<Pair<'a>>)> {
        let (proof, temp) = self.nt.split_at_checked(16)?;
        let said = temp.strip_prefix(&[1, 1])?;
        Some((proof, temp, pairs(said.get(26..)?)?))
    }
}

/// `temp`, the part of the NTLMv2 response that the client says in clear (MS-NLMP section 3.3.2). `time` counts tenths of
/// microseconds since 1601.
pub(in crate::sasl) fn temp(time: u64, nonce: [u8; 8], list: &[u8]) -> Vec<u8> {
    [&[1, 1, 0, 0, 0, 0, 0, 0], time.to_le_bytes().as_slice(), &nonce, &[0; 4], list, &[0; 4]].concat()
}

/// NTOWFv2: the user's password, mixed with his name (MS-NLMP section 3.3.2). It is as good as the password.
pub(in crate::sasl) struct Key(Secret);

impl Key {
    /// `None` if the password is not UTF-8.
    pub(in crate::sasl) fn new(user: &str, domain: &str, password: &Secret) -> Option<Self> {
        let password = Secret::from(utf16(std::str::from_utf8(password.expose()).ok()?));
        let nt = seal(Md4::digest(password.expose()).into());
        let names = [utf16(&upper_case(user)), utf16(domain)].concat();
        Some(Self(seal(hmac_md5(nt.expose(), &[&names]))))
    }

    /// NTProofStr.
    pub(in crate::sasl) fn nt_proof(&self, server: [u8; 8], temp: &[u8]) -> [u8; 16] {
        hmac_md5(self.0.expose(), &[&server, temp])
    }

    /// The LMv2 response.
    pub(in crate::sasl) fn lm_response(&self, server: [u8; 8], client: [u8; 8]) -> [u8; 24] {
        let mut response = [0; 24];
        let proof = hmac_md5(self.0.expose(), &[&server, &client]);
        response.iter_mut().zip(proof.iter().chain(&client)).for_each(|(octet, from)| *octet = *from);
        response
    }

    /// The session key. No other is exchanged, so it is also what the MIC is made with.
    pub(in crate::sasl) fn session(&self, nt_proof: &[u8]) -> Secret {
        seal(hmac_md5(self.0.expose(), &[nt_proof]))
    }
}

/// The MIC over the three messages, the last one with zeros for it (MS-NLMP section 3.1.5.1.2).
pub(in crate::sasl) fn mic(session: &Secret, messages: [&[u8]; 3]) -> [u8; 16] {
    hmac_md5(session.expose(), &messages)
}

/// The eight octets of a challenge. A nonce of eight octets is one already; of a longer one, which may have fewer than
/// eight random bits in each octet, the MD5 digest is taken, so that all of its randomness counts.
pub(in crate::sasl) fn nonce_of(nonce: &Nonce) -> [u8; 8] {
    let octets = nonce.as_bytes();
    <[u8; 8]>::try_from(octets).unwrap_or_else(|_| {
        let digest: [u8; 16] = Md5::digest(octets).into();
        digest.first_chunk().copied().unwrap_or_default()
    })
}

/// The time since 1970 as FILETIME (MS-DTYP section 2.3.3): tenths of microseconds since 1601.
pub(in crate::sasl) fn filetime(since_1970: Duration) -> u64 {
    u64::try_from(since_1970.as_nanos() / 100).unwrap_or(u64::MAX).saturating_add(116_444_736_000_000_000)
}

/// UTF-16, little-endian, in memory that was taken once: growing would leave a copy of a password behind.
pub(in crate::sasl) fn utf16(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(2 * text.len());
    text.encode_utf16().for_each(|unit| octets.extend_from_slice(&unit.to_le_bytes()));
    octets
}

/// Upper case as the system knows it that NTLM comes from: one 16-bit unit for one 16-bit unit, and what is not ASCII
/// never becomes ASCII.
fn upper_case(name: &str) -> String {
    let upper = |small: char| {
        let mut capitals = small.to_uppercase();
        match (capitals.next(), capitals.next()) {
            (Some(capital), None) if small.is_ascii() == capital.is_ascii() && u32::from(small) <= 0xFFFF => {
                capital
            }
            _ => small,
        }
    };
    name.chars().map(upper).collect()
}

/// The attributes up to the last one; `None` if it does not come.
pub(in crate::sasl) fn pairs(mut list: &[u8]) -> Option<Vec<Pair<'_>>> {
    let mut pairs = Vec::new();
    loop {
        let (id, length) = (u16_at(list, 0)?, usize::from(u16_at(list, 2)?));
        if id == av::EOL {
            return Some(pairs);
        }
        let (value, rest) = list.get(4..)?.split_at_checked(length)?;
        pairs.push((id, value));
        list = rest;
    }
}

/// The attributes, and the end of them. The values have come out of a list, or are short: their lengths fit.
fn list(pairs: &[Pair<'_>]) -> Vec<u8> {
    let mut list = Vec::new();
    for (id, value) in pairs {
        list.extend_from_slice(&id.to_le_bytes());
        list.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
        list.extend_from_slice(value);
    }
    list.extend_from_slice(&[0; 4]);
    list
}

/// Builds a message: the fixed part, in which fields are told by length and offset, and what they point to.
struct Fields {
    fixed: Vec<u8>,
    payload: Vec<u8>,
    /// How long the fixed part will be.
    base: usize,
}

impl Fields {
    fn new(message_type: u32, base: usize) -> Self {
        let mut this = Self { fixed: SIGNATURE.to_vec(), payload: Vec::new(), base };
        this.number(message_type);
        this
    }

    fn octets(&mut self, octets: &[u8]) {
        self.fixed.extend_from_slice(octets);
    }

    fn number(&mut self, number: u32) {
        self.octets(&number.to_le_bytes());
    }

    /// `None` if it is too long for its length to be said.
    fn field(&mut self, octets: &[u8]) -> Option<()> {
        let length = u16::try_from(octets.len()).ok()?.to_le_bytes();
        let offset = u32::try_from(self.base + self.payload.len()).ok()?;
        self.octets(&length);
        self.octets(&length);
        self.number(offset);
        self.payload.extend_from_slice(octets);
        Some(())
    }

    /// A field with nothing in it.
    fn empty(&mut self) {
        self.octets(&[0; 8]);
    }

    fn finish(mut self) -> Vec<u8> {
        self.fixed.append(&mut self.payload);
        self.fixed
    }
}

fn is_type(message: &[u8], wanted: u32) -> bool {
    message.starts_with(SIGNATURE) && u32_at(message, 8) == Some(wanted)
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..)?.first_chunk().map(|octets| u16::from_le_bytes(*octets))
}

fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..)?.first_chunk().map(|octets| u32::from_le_bytes(*octets))
}

fn eight_at(message: &[u8], at: usize) -> Option<[u8; 8]> {
    message.get(at..)?.first_chunk().copied()
}

/// The octets that the field at `at` points to; they cannot lie before `least`, where the fixed part ends. Of an empty
/// field the offset means nothing.
fn field(message: &[u8], at: usize, least: usize) -> Option<&[u8]> {
    let (length, offset) = (usize::from(u16_at(message, at)?), u32_at(message, at.checked_add(4)?)?);
    if length == 0 {
        return Some(&[]);
    }
    let offset = usize::try_from(offset).ok()?;
    if offset < least { None } else { message.get(offset..offset.checked_add(length)?) }
}

#[cfg(test)]
mod tests;
