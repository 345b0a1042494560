//! Who signs in, by which ways, and with what.

use std::ffi::OsString;

use popwire::{Ask, Login, Mechanism, Method, PopUrl, Text};

use crate::args::ConnectArgs;
use crate::explain::Problem;
use crate::output::Output;
use crate::password::{self, Source};

/// Tells a token command that the server refused the token that it printed before.
const REFUSED: &str = "POPWIRE_TOKEN_REFUSED";

/// How to sign in.
#[derive(Debug)]
pub(crate) struct SignIn {
    user: Vec<u8>,
    methods: Vec<Method>,
    proof: Proof,
    utf8: bool,
    latin1: bool,
}

/// What a way to sign in wants to see.
#[derive(Clone, Debug)]
enum Proof {
    Password(Source),
    /// The command that prints a token.
    Token(OsString),
    /// A certificate, a ticket, or nothing.
    Elsewhere(Method),
}

impl SignIn {
    pub(crate) fn resolve(args: &ConnectArgs, url: &PopUrl) -> Result<Self, Problem> {
        let methods = methods(args, url)?;
        let proof = proof(args, &methods)?;
        let user = user(args, url, &proof)?;
        Ok(Self { user, methods, proof, utf8: args.utf8_login, latin1: args.latin1_password })
    }

    /// By password, from where passwords come when nothing is said.
    pub(crate) fn by_password(user: &str) -> Self {
        let proof = Proof::Password(Source::Unsaid);
        Self { user: user.as_bytes().to_vec(), methods: Vec::new(), proof, utf8: false, latin1: false }
    }

    /// Empty where a certificate or a ticket tells it.
    pub(crate) fn user(&self) -> &[u8] {
        &self.user
    }

    /// Gets what is needed now, such as a password that has to be typed; tokens are got when the server is there.
    pub(crate) fn login(&self, account: &str, output: &mut Output) -> Result<Login, Problem> {
        let user = &self.user;
        let mut login = match &self.proof {
            Proof::Password(source) => Login::password(user, source.password(account, output)?),
            Proof::Token(command) => {
                let command = command.clone();
                Login::token_from(user, move |ask| token(&command, ask))
            }
            Proof::Elsewhere(Method::Sasl(Mechanism::Anonymous)) => {
                Login::anonymous(Text::from(user.as_slice()).to_string())
            }
            Proof::Elsewhere(Method::Sasl(Mechanism::Gssapi)) => Login::gssapi().acting_as(user),
            Proof::Elsewhere(_) => Login::external().acting_as(user),
        };
        if !self.methods.is_empty() {
            login = login.methods(self.methods.iter().copied());
        }
        if self.utf8 {
            login = login.unannounced_utf8();
        }
        Ok(if self.latin1 { login.latin1_password() } else { login })
    }
}

fn methods(args: &ConnectArgs, url: &PopUrl) -> Result<Vec<Method>, Problem> {
    let Some(named) = url.mechanism() else { return Ok(args.auth.clone()) };
    let method = named.parse().map_err(|_| {
        let what = format!("the sign-in mechanism {} is not known", Text::from(named));
        Problem::usage(what, "Leave ;AUTH= out, or write one that --help lists.")
    })?;
    if !args.auth.is_empty() && args.auth != [method] {
        let what = "the URL and --auth name different mechanisms";
        return Err(Problem::usage(what, "Leave one of them out."));
    }
    Ok(vec![method])
}

/// What the ways have in common. Ways that want different things cannot stand beside each other.
fn proof(args: &ConnectArgs, methods: &[Method]) -> Result<Proof, Problem> {
    let proof = |method: Option<Method>| match method {
        None if args.oauth_token_command.is_none() => Ok(Proof::Password(password(args))),
        None | Some(Method::Sasl(Mechanism::OAuthBearer | Mechanism::XOAuth2)) => {
            match (&args.oauth_token_command, method) {
                (Some(command), _) => Ok(Proof::Token(command.clone())),
                (None, Some(method)) => Err(Problem::usage(
                    format!("{method} wants a token"),
                    "Say where to get it: --oauth-token-command CMD.",
                )),
                (None, None) => Ok(Proof::Password(password(args))),
            }
        }
        Some(method @ Method::Sasl(Mechanism::External | Mechanism::Gssapi | Mechanism::Anonymous)) => {
            if method == Method::Sasl(Mechanism::External) && args.client_cert.is_none() {
                return Err(Problem::usage(
                    "EXTERNAL wants a client certificate",
                    "Name it: --client-cert FILE --client-key FILE.",
                ));
            }
            if args.oauth_token_command.is_some() || password(args) != Source::Unsaid {
                return Err(Problem::usage(
                    format!("{method} takes neither a password nor a token"),
                    "Leave out where to get one.",
                ));
            }
            Ok(Proof::Elsewhere(method))
        }
        Some(method) if args.oauth_token_command.is_some() => Err(Problem::usage(
            format!("{method} wants a password, and --oauth-token-command brings a token"),
            "Leave one of them out, or write --auth XOAUTH2.",
        )),
        Some(_) => Ok(Proof::Password(password(args))),
    };
    let first = proof(methods.first().copied())?;
    for method in methods.iter().skip(1) {
        let other = proof(Some(*method))?;
        if std::mem::discriminant(&other) != std::mem::discriminant(&first)
            || matches!(other, Proof::Elsewhere(_))
        {
            let what = "the mechanisms that --auth names want different things";
            return Err(Problem::usage(
                what,
                "Name those together that all take a password, or all a token.",
            ));
        }
    }
    Ok(first)
}

fn user(args: &ConnectArgs, url: &PopUrl, proof: &Proof) -> Result<Vec<u8>, Problem> {
    match (&args.user, url.user()) {
        (Some(_), Some(_)) => {
            let what = "the user is named both in the URL and by --user";
            Err(Problem::usage(what, "Leave one of them out."))
        }
        (Some(user), None) => Ok(user.as_bytes().to_vec()),
        (None, Some(user)) => Ok(user.to_vec()),
        (None, None) if matches!(proof, Proof::Elsewhere(_)) => Ok(Vec::new()),
        (None, None) => {
            let next = format!("Like this: pops://alice@{}, or --user alice", url.host());
            Err(Problem::usage("the URL names no user", next))
        }
    }
}

fn password(args: &ConnectArgs) -> Source {
    match (&args.password_env, &args.password_file, &args.password_command, &args.keyring) {
        (Some(variable), ..) => Source::Variable(variable.clone()),
        (_, Some(file), ..) => Source::File(file.clone()),
        (.., Some(command), _) => Source::Command(command.clone()),
        (.., Some(account)) => Source::Keyring(account.clone()),
        _ => Source::Unsaid,
    }
}

fn token(command: &OsString, ask: &Ask) -> Result<Vec<u8>, String> {
    // What the server said is in the variable, so that the command can tell an expired token from a missing right.
    let refused = ask.refused.as_ref().map(|failure| (REFUSED, failure.text.to_string()));
    let token = password::printed_by("token", command, refused).map_err(|problem| problem.what)?;
    if token.is_empty() {
        return Err("the token command printed nothing".to_owned());
    }
    // Printable ASCII without blanks (RFC 6750 section 2.1): all else is an error message, or a token and more.
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(
            "what the token command printed is no token: its first line has characters that tokens have not"
                .to_owned(),
        );
    }
    Ok(token)
}
