//! rs-pop3, the fork of pop3 that still builds.

use ::rs_pop3::{POP3Result, POP3Stream};
use openssl::ssl::{SslConnector, SslMethod};

use crate::{HOST, Job, PASSWORD, Result, Task, USER};

pub fn run(task: &Task) -> Result<()> {
    let tls = match &task.ca {
        Some(ca) => {
            let mut builder = SslConnector::builder(SslMethod::tls())?;
            builder.set_ca_file(ca)?;
            Some(builder.build())
        }
        None => None,
    };
    let mut stream = POP3Stream::connect((HOST, task.port), tls, HOST)?;
    if matches!(stream.login(USER, PASSWORD), POP3Result::POP3Err) {
        return Err("the login failed".into());
    }
    if task.job == Job::List {
        match stream.list(None) {
            POP3Result::POP3List { emails_metadata } => task.listed(emails_metadata.len())?,
            _ => return Err("LIST failed".into()),
        }
        match stream.uidl(None) {
            POP3Result::POP3Uidl { emails_metadata } => task.listed(emails_metadata.len())?,
            _ => return Err("UIDL failed".into()),
        }
    } else {
        for number in 1..=i32::try_from(task.count)? {
            match stream.retr(number) {
                POP3Result::POP3Message { raw } => task.take(raw.concat().as_bytes())?,
                _ => return Err("RETR failed".into()),
            }
        }
    }
    stream.quit();
    Ok(())
}
