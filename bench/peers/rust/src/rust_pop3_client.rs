//! rust-pop3-client. It sends QUIT when it is dropped.

use ::rust_pop3_client::{Pop3Connection, Pop3ConnectionFactory};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::{HOST, Job, PASSWORD, Result, Task, USER};

pub fn run(task: &Task) -> Result<()> {
    match &task.ca {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(ca)?)?;
            talk(Pop3ConnectionFactory::with_custom_certs(HOST, task.port, roots)?, task)
        }
        None => talk(Pop3ConnectionFactory::without_tls(HOST, task.port)?, task),
    }
}

fn talk(mut client: impl Pop3Connection, task: &Task) -> Result<()> {
    client.login(USER, PASSWORD)?;
    if task.job == Job::List {
        task.listed(client.list()?.len())?;
        return task.listed(client.list_unique_ids()?.len());
    }
    let mut message = Vec::new();
    for number in 1..=task.count {
        message.clear();
        client.retrieve(number, &mut message)?;
        task.take(&message)?;
    }
    Ok(())
}
