//! The system's GSSAPI library (RFC 2743, in C by RFC 2744), behind an interface that cannot be misused. All that is
//! unsafe is here.
//!
//! The library is loaded when it is first asked for, so that a program runs where there is none. MIT Kerberos, Heimdal and
//! Apple's framework have the same functions and types; what they call their constants differs, so those are made here.

use std::{
    error::Error as _,
    ffi::{CStr, c_int, c_void},
    ptr, slice,
    sync::OnceLock,
};

use libloading::Library;
use popwire_proto::{Secret, sasl::Error};
use zeroize::Zeroize as _;

#[cfg(target_vendor = "apple")]
const CANDIDATES: &[&str] = &["/System/Library/Frameworks/GSS.framework/GSS"];
/// MIT Kerberos, then Heimdal.
#[cfg(not(target_vendor = "apple"))]
const CANDIDATES: &[&str] = &["libgssapi_krb5.so.2", "libgssapi.so.3"];

/// `gss_buffer_desc` (RFC 2744 section 3.2).
#[repr(C)]
struct RawBuffer {
    length: usize,
    value: *mut c_void,
}

/// `gss_OID_desc` (RFC 2744 section 3.3). Apple's headers pack it on what once were its processors.
#[cfg_attr(not(all(target_vendor = "apple", any(target_arch = "x86_64", target_arch = "x86"))), repr(C))]
#[cfg_attr(
    all(target_vendor = "apple", any(target_arch = "x86_64", target_arch = "x86")),
    repr(C, packed(2))
)]
struct RawOid {
    length: u32,
    elements: *mut c_void,
}

/// An object identifier for the library to read.
#[repr(transparent)]
struct Oid(RawOid);

// SAFETY: the pointer in it goes to octets that nobody ever writes: they are constants, and the library takes
// identifiers as input only.
unsafe impl Sync for Oid {}

impl Oid {
    const fn new<const N: usize>(octets: &'static [u8; N]) -> Self {
        Self(RawOid { length: N as u32, elements: octets.as_ptr().cast_mut().cast() })
    }

    /// As the library wants it. It lives as long as the program, since a library may keep the pointer.
    const fn as_ptr(&'static self) -> *mut RawOid {
        (&raw const self.0).cast_mut()
    }
}

/// Kerberos 5: 1.2.840.113554.1.2.2 (RFC 1964 section 1).
static KERBEROS: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
/// GSS_C_NT_HOSTBASED_SERVICE: 1.2.840.113554.1.2.1.4 (RFC 2743 section 4.1).
static HOST_BASED_SERVICE: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04");

const CONTINUE_NEEDED: u32 = 1;
/// The calling and routine errors of a major status; the rest is no failure (RFC 2744 section 3.9.1).
const ERRORS: u32 = 0xffff_0000;
const MAJOR_CODE: c_int = 1;
const MINOR_CODE: c_int = 2;

const MUTUAL: u32 = 2;
const SEQUENCE: u32 = 8;
const INTEGRITY: u32 = 32;

type RawName = *mut c_void;
type RawContext = *mut c_void;

type ImportName = unsafe extern "C" fn(*mut u32, *mut RawBuffer, *mut RawOid, *mut RawName) -> u32;
type ReleaseName = unsafe extern "C" fn(*mut u32, *mut RawName) -> u32;
type InitSecContext = unsafe extern "C" fn(
    minor: *mut u32,
    credentials: *mut c_void,
    context: *mut RawContext,
    target: RawName,
    mechanism: *mut RawOid,
    flags: u32,
    lifetime: u32,
    channel_bindings: *mut c_void,
    input: *mut RawBuffer,
    actual_mechanism: *mut *mut RawOid,
    output: *mut RawBuffer,
    actual_flags: *mut u32,
    actual_lifetime: *mut u32,
) -> u32;
type AcceptSecContext = unsafe extern "C" fn(
    minor: *mut u32,
    context: *mut RawContext,
    credentials: *mut c_void,
    input: *mut RawBuffer,
    channel_bindings: *mut c_void,
    source: *mut RawName,
    mechanism: *mut *mut RawOid,
    output: *mut RawBuffer,
    flags: *mut u32,
    lifetime: *mut u32,
    delegated: *mut *mut c_void,
) -> u32;
type DisplayName = unsafe extern "C" fn(*mut u32, RawName, *mut RawBuffer, *mut *mut RawOid) -> u32;
type DeleteSecContext = unsafe extern "C" fn(*mut u32, *mut RawContext, *mut RawBuffer) -> u32;
type Wrap =
    unsafe extern "C" fn(*mut u32, RawContext, c_int, u32, *mut RawBuffer, *mut c_int, *mut RawBuffer) -> u32;
type Unwrap =
    unsafe extern "C" fn(*mut u32, RawContext, *mut RawBuffer, *mut RawBuffer, *mut c_int, *mut u32) -> u32;
type DisplayStatus = unsafe extern "C" fn(*mut u32, u32, c_int, *mut RawOid, *mut u32, *mut RawBuffer) -> u32;
type ReleaseBuffer = unsafe extern "C" fn(*mut u32, *mut RawBuffer) -> u32;

/// The functions of the library.
struct Api {
    import_name: ImportName,
    release_name: ReleaseName,
    init_sec_context: InitSecContext,
    accept_sec_context: AcceptSecContext,
    display_name: DisplayName,
    delete_sec_context: DeleteSecContext,
    wrap: Wrap,
    unwrap: Unwrap,
    display_status: DisplayStatus,
    release_buffer: ReleaseBuffer,
    /// They are good as long as it is loaded.
    _library: Library,
}

/// The library, loaded at the first call and never unloaded.
fn api() -> Result<&'static Api, Error> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();
    let loaded = API.get_or_init(|| Api::load(CANDIDATES));
    loaded.as_ref().map_err(|why| Error::Other(why.clone()))
}

/// Makes sure that there is a library.
pub(crate) fn is_there() -> Result<(), Error> {
    api().map(|_| ())
}

impl Api {
    /// The first of the candidates that is there and has all that is needed.
    fn load(candidates: &[&str]) -> Result<Self, String> {
        let mut why = String::new();
        for name in candidates {
            match Self::open(name) {
                Ok(api) => return Ok(api),
                // What it says itself is that it failed; the system's words are below that.
                Err(reason) => match reason.source() {
                    Some(source) => why = format!("{why}; {source}"),
                    None => why = format!("{why}; {name}: {reason}"),
                },
            }
        }
        let hint = if cfg!(target_os = "linux") { ": install libgssapi-krb5-2" } else { "" };
        Err(format!("the system has no Kerberos{hint}{why}"))
    }

    fn open(name: &str) -> Result<Self, libloading::Error> {
        // SAFETY: what it runs when it is loaded is the Kerberos library that the system was set up with, as every other
        // program that is linked with it runs it.
        let library = unsafe { Library::new(name) }?;
        Ok(Self {
            // SAFETY: the type is that of the function of this name (RFC 2744 section 5.16).
            import_name: unsafe { function(&library, c"gss_import_name") }?,
            // SAFETY: likewise (section 5.28).
            release_name: unsafe { function(&library, c"gss_release_name") }?,
            // SAFETY: likewise (section 5.19).
            init_sec_context: unsafe { function(&library, c"gss_init_sec_context") }?,
            // SAFETY: likewise (section 5.1).
            accept_sec_context: unsafe { function(&library, c"gss_accept_sec_context") }?,
            // SAFETY: likewise (section 5.10).
            display_name: unsafe { function(&library, c"gss_display_name") }?,
            // SAFETY: likewise (section 5.9).
            delete_sec_context: unsafe { function(&library, c"gss_delete_sec_context") }?,
            // SAFETY: likewise (section 5.33).
            wrap: unsafe { function(&library, c"gss_wrap") }?,
            // SAFETY: likewise (section 5.32).
            unwrap: unsafe { function(&library, c"gss_unwrap") }?,
            // SAFETY: likewise (section 5.11).
            display_status: unsafe { function(&library, c"gss_display_status") }?,
            // SAFETY: likewise (section 5.26).
            release_buffer: unsafe { function(&library, c"gss_release_buffer") }?,
            _library: library,
        })
    }

    /// What a failure means, in the library's own words. To be asked in the thread that met it, before anything else is
    /// called: the words for a minor status are kept per thread.
    fn error(&'static self, doing: &str, major: u32, minor: u32) -> Error {
        let mut words = self.words(major, MAJOR_CODE);
        // Zero would be "no error", or "unknown error".
        if minor != 0 {
            words.extend(self.words(minor, MINOR_CODE));
        }
        Error::Other(format!("Kerberos: {doing}: {}", words.join(": ")))
    }

    /// All messages for one status.
    fn words(&'static self, status: u32, kind: c_int) -> Vec<String> {
        let mut words = Vec::new();
        let mut more = 0;
        // There are one or two. The limit is for a library that would never come to an end.
        for _ in 0..8 {
            let mut text = Buffer::empty(self);
            let mut minor = 0;
            // SAFETY: the pointers are to places that live through the call, the identifier for ever; the text is empty,
            // as an output must be.
            let major = unsafe {
                (self.display_status)(
                    &raw mut minor,
                    status,
                    kind,
                    KERBEROS.as_ptr(),
                    &raw mut more,
                    &raw mut text.raw,
                )
            };
            if major & ERRORS != 0 {
                break;
            }
            // Some of it may be a server's words: no control characters, and not without end.
            let text = String::from_utf8_lossy(text.octets());
            let text: String = text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect();
            words.push(text.trim().to_owned());
            if more == 0 {
                break;
            }
        }
        if words.is_empty() {
            words.push(format!("status {status:#x}"));
        }
        words
    }
}

/// The function called `name`.
///
/// # Safety
///
/// `T` is a pointer to a function of the type that `name` has there, and is not called after `library` was dropped.
unsafe fn function<T: Copy>(library: &Library, name: &CStr) -> Result<T, libloading::Error> {
    // SAFETY: the caller vouches for the type.
    let symbol = unsafe { library.get::<T>(name) }?;
    Ok(*symbol)
}

/// Octets as the library takes them in. It only reads them, though its types do not say so.
fn input(octets: &[u8]) -> RawBuffer {
    RawBuffer { length: octets.len(), value: octets.as_ptr().cast_mut().cast() }
}

/// Octets that the library allocated.
struct Buffer {
    api: &'static Api,
    raw: RawBuffer,
}

impl Buffer {
    fn empty(api: &'static Api) -> Self {
        Self { api, raw: RawBuffer { length: 0, value: ptr::null_mut() } }
    }

    fn octets(&self) -> &[u8] {
        if self.raw.value.is_null() || self.raw.length == 0 {
            return &[];
        }
        // SAFETY: what is not null was allocated by the library with this length, and stays until the release in `drop`.
        unsafe { slice::from_raw_parts(self.raw.value.cast(), self.raw.length) }
    }

    /// A copy that is wiped at its end; the library's own is wiped now. For tokens and messages only.
    fn take(self) -> Secret {
        let copy = Secret::from(self.octets());
        if !copy.is_empty() {
            // SAFETY: as in `octets`; and nobody else has the memory: a token that was handed out is the caller's.
            let original = unsafe { slice::from_raw_parts_mut(self.raw.value.cast::<u8>(), self.raw.length) };
            original.zeroize();
        }
        copy
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the buffer is empty, or the library filled it; it is released once, and not used any more.
        unsafe { (self.api.release_buffer)(&raw mut minor, &raw mut self.raw) };
    }
}

/// The name of a service on a host.
pub(crate) struct Name {
    api: &'static Api,
    raw: RawName,
}

// SAFETY: a name is memory of the library that belongs to no thread, and this is the only pointer to it. The libraries
// may be called from any thread, as long as no two are in the same object at once; there is no `Sync`.
unsafe impl Send for Name {}

impl Name {
    /// `service@host` (RFC 2743 section 4.1).
    pub(crate) fn of_service(service_at_host: &str) -> Result<Self, Error> {
        let api = api()?;
        let mut text = input(service_at_host.as_bytes());
        let mut name = Self { api, raw: ptr::null_mut() };
        let mut minor = 0;
        // SAFETY: the pointers are to places that live through the call, the identifier for ever; the octets of the text
        // are only read.
        let major = unsafe {
            (api.import_name)(&raw mut minor, &raw mut text, HOST_BASED_SERVICE.as_ptr(), &raw mut name.raw)
        };
        if major & ERRORS != 0 || name.raw.is_null() {
            return Err(api.error("the host's name", major, minor));
        }
        Ok(name)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            let mut minor = 0;
            // SAFETY: the library made it, and it is released once; the call sets it to null.
            unsafe { (self.api.release_name)(&raw mut minor, &raw mut self.raw) };
        }
    }
}

/// How far a step of the negotiation came.
pub(crate) struct Step {
    /// For the server. It may be empty in the end.
    pub(crate) token: Secret,
    /// Whether the negotiation is over.
    pub(crate) complete: bool,
}

/// A security context: what client and server have agreed upon.
pub(crate) struct Context {
    api: &'static Api,
    /// For a client the service, for a server the client; null until it is known.
    peer: Name,
    /// Null until the first step.
    raw: RawContext,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Negotiating,
    Complete,
    /// What is left of it must only be released.
    Failed,
}

// SAFETY: a context is memory of the library that belongs to no thread, and this is the only pointer to it. The libraries
// may be called from any thread, as long as no two are in the same object at once; there is no `Sync`. What they do keep
// per thread are the words of the last error, which are fetched at once, and Heimdal's handle, which is made anew in each
// thread and is no part of the context.
unsafe impl Send for Context {}

impl Context {
    /// None yet: the first step begins it.
    pub(crate) fn new(target: Name) -> Self {
        Self { api: target.api, peer: target, raw: ptr::null_mut(), stage: Stage::Negotiating }
    }

    /// The server's, for whoever comes.
    pub(crate) fn accepting() -> Result<Self, Error> {
        Ok(Self::new(Name { api: api()?, raw: ptr::null_mut() }))
    }

    /// The next token for the client, from the client's. The keys are the default ones. To be called on what
    /// [`accepting`](Self::accepting) gave, and on nothing else.
    pub(crate) fn accept(&mut self, token: &[u8]) -> Result<Step, Error> {
        if self.stage != Stage::Negotiating {
            return Err(Error::UnexpectedChallenge);
        }
        // Unless it comes to a good end.
        self.stage = Stage::Failed;
        // What an earlier call said of the client is released.
        self.peer = Name { api: self.api, raw: ptr::null_mut() };
        let mut token = input(token);
        let mut answer = Buffer::empty(self.api);
        let (mut minor, mut flags) = (0, 0);
        // SAFETY: the pointers are to places that live through the call; the octets of the token are only read. The
        // context is null or from the call before, which did not fail; the name is null and the answer empty, as outputs
        // must be. Null stands for the default credentials, for no channel bindings, and for results that are not wanted.
        let major = unsafe {
            (self.api.accept_sec_context)(
                &raw mut minor,
                &raw mut self.raw,
                ptr::null_mut(),
                &raw mut token,
                ptr::null_mut(),
                &raw mut self.peer.raw,
                ptr::null_mut(),
                &raw mut answer.raw,
                &raw mut flags,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if major & ERRORS != 0 {
            return Err(self.api.error("no context", major, minor));
        }
        let complete = major & CONTINUE_NEEDED == 0;
        if complete && flags & INTEGRITY == 0 {
            return Err(Error::Other("Kerberos: messages could not be protected".to_owned()));
        }
        self.stage = if complete { Stage::Complete } else { Stage::Negotiating };
        Ok(Step { token: answer.take(), complete })
    }

    /// The client's principal, as text.
    pub(crate) fn peer(&self) -> Result<String, Error> {
        self.complete()?;
        let mut name = Buffer::empty(self.api);
        let mut minor = 0;
        // SAFETY: the pointers are to places that live through the call; the context is complete, so the name is valid; the
        // text is empty, as an output must be. Null stands for a result that is not wanted.
        let major = unsafe {
            (self.api.display_name)(&raw mut minor, self.peer.raw, &raw mut name.raw, ptr::null_mut())
        };
        if major & ERRORS != 0 {
            return Err(self.api.error("the client's name", major, minor));
        }
        String::from_utf8(name.octets().to_vec())
            .map_err(|_| Error::Other("Kerberos: the client's name is no text".to_owned()))
    }

    /// The next token, from the server's, which the first step has not. The credentials are the default ones. Completes
    /// only where the server proved itself, and messages can be protected.
    pub(crate) fn step(&mut self, token: &[u8]) -> Result<Step, Error> {
        if self.stage != Stage::Negotiating {
            return Err(Error::UnexpectedChallenge);
        }
        // Unless it comes to a good end.
        self.stage = Stage::Failed;
        let mut token = input(token);
        let mut answer = Buffer::empty(self.api);
        let (mut minor, mut flags) = (0, 0);
        // SAFETY: the pointers are to places that live through the call, the identifier for ever; the octets of the token
        // are only read. The name is valid, the context null or from the call before, which did not fail, and the answer
        // empty. Null stands for the default credentials, for no channel bindings, and for results that are not wanted.
        // An empty token is as good as none.
        let major = unsafe {
            (self.api.init_sec_context)(
                &raw mut minor,
                ptr::null_mut(),
                &raw mut self.raw,
                self.peer.raw,
                KERBEROS.as_ptr(),
                MUTUAL | SEQUENCE | INTEGRITY,
                0,
                ptr::null_mut(),
                &raw mut token,
                ptr::null_mut(),
                &raw mut answer.raw,
                &raw mut flags,
                ptr::null_mut(),
            )
        };
        if major & ERRORS != 0 {
            return Err(self.api.error("no context", major, minor));
        }
        let complete = major & CONTINUE_NEEDED == 0;
        if complete && flags & (MUTUAL | INTEGRITY) != MUTUAL | INTEGRITY {
            return Err(Error::Other("Kerberos: the server did not prove itself".to_owned()));
        }
        self.stage = if complete { Stage::Complete } else { Stage::Negotiating };
        Ok(Step { token: answer.take(), complete })
    }

    /// The message in what the server has wrapped, if it is genuine.
    pub(crate) fn unwrap(&mut self, wrapped: &[u8]) -> Result<Secret, Error> {
        self.complete()?;
        let mut wrapped = input(wrapped);
        let mut message = Buffer::empty(self.api);
        let mut minor = 0;
        // SAFETY: the pointers are to places that live through the call; the octets of what is wrapped are only read. The
        // context is complete, the message empty. Null stands for results that are not wanted.
        let major = unsafe {
            (self.api.unwrap)(
                &raw mut minor,
                self.raw,
                &raw mut wrapped,
                &raw mut message.raw,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        // What is no failure says that the message came out of its turn, or twice.
        if major != 0 {
            return Err(self.api.error("the other side's message", major, minor));
        }
        Ok(message.take())
    }

    /// Wraps a message so that the server can tell that it is genuine; it can still be read.
    pub(crate) fn wrap(&mut self, message: &[u8]) -> Result<Secret, Error> {
        self.complete()?;
        let mut message = input(message);
        let mut wrapped = Buffer::empty(self.api);
        let mut minor = 0;
        // SAFETY: as with `unwrap`. The zeros: it is not to be encrypted, and the quality is the default.
        let major = unsafe {
            (self.api.wrap)(
                &raw mut minor,
                self.raw,
                0,
                0,
                &raw mut message,
                ptr::null_mut(),
                &raw mut wrapped.raw,
            )
        };
        if major != 0 {
            return Err(self.api.error("our message", major, minor));
        }
        Ok(wrapped.take())
    }

    /// Not every library minds if a context is used before its time.
    fn complete(&self) -> Result<(), Error> {
        if self.stage == Stage::Complete { Ok(()) } else { Err(Error::UnexpectedChallenge) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            let mut minor = 0;
            // SAFETY: the library made it, and it is deleted once; the call sets it to null. Where a step failed, the
            // library set it to null, or left it to be deleted here. Null: no token for the server.
            unsafe { (self.api.delete_sec_context)(&raw mut minor, &raw mut self.raw, ptr::null_mut()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_an_error_that_says_what_to_install() {
        let why = Api::load(&["libpopwire-nonexistent.so.2", "libpopwire-nonexistent.so.3"]).err().unwrap();
        assert!(why.starts_with("the system has no Kerberos"), "{why}");
        assert!(!cfg!(target_os = "linux") || why.contains("install libgssapi-krb5-2"), "{why}");
        assert!(why.contains("nonexistent.so.2") && why.contains("nonexistent.so.3"), "{why}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_library_that_is_something_else_is_passed_over() {
        let why = Api::load(&["libc.so.6"]).err().unwrap();
        assert!(why.contains("gss_import_name"), "{why}");
        assert!(Api::load(&["libc.so.6", "libgssapi_krb5.so.2"]).is_ok());
    }

    #[test]
    fn a_context_that_is_not_complete_wraps_nothing() {
        let mut context = Context::new(Name::of_service("pop@localhost").unwrap());
        assert_eq!(context.wrap(b"x").unwrap_err(), Error::UnexpectedChallenge);
        assert_eq!(context.unwrap(b"x").unwrap_err(), Error::UnexpectedChallenge);
    }

    #[test]
    fn the_words_of_a_status_are_words() {
        // GSS_S_NO_CRED, and a minor status that nobody knows
        let Error::Other(why) = api().unwrap().error("test", 7 << 16, 0x7fff_fff0) else { panic!() };
        assert!(why.starts_with("Kerberos: test: ") && why.len() > 40, "{why}");
        assert!(!why.contains(['\n', '\r', '\0']), "{why}");
    }

    #[test]
    fn what_is_sent_between_threads_may_be() {
        fn may<T: Send>() {}
        may::<Context>();
        may::<Name>();
    }
}
