//! async-pop, on tokio.

use ::async_pop::Client;
use ::async_pop::response::list::ListResponse;
use ::async_pop::response::uidl::UidlResponse;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{HOST, Job, PASSWORD, Result, Task, USER};

pub fn run(task: &Task) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        match &task.ca {
            Some(ca) => {
                let ca = native_tls::Certificate::from_pem(&std::fs::read(ca)?)?;
                let tls = async_native_tls::TlsConnector::new().add_root_certificate(ca);
                talk(::async_pop::connect((HOST, task.port), HOST, &tls).await?, task).await
            }
            None => talk(::async_pop::connect_plain((HOST, task.port)).await?, task).await,
        }
    })
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send>(mut client: Client<S>, task: &Task) -> Result<()> {
    client.login(USER, PASSWORD).await?;
    if task.job == Job::List {
        match client.list(None).await? {
            ListResponse::Multiple(list) => task.listed(list.items().len())?,
            ListResponse::Single(_) => return Err("LIST gave one entry".into()),
        }
        match client.uidl(None).await? {
            UidlResponse::Multiple(list) => task.listed(list.items().len())?,
            UidlResponse::Single(_) => return Err("UIDL gave one entry".into()),
        }
    } else {
        for number in 1..=task.count as usize {
            task.take(&client.retr(number).await?)?;
        }
    }
    client.quit().await?;
    Ok(())
}
