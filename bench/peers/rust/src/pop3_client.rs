//! pop3-client, its blocking client. It has no TLS: the feature that its sources ask for does not exist. Its answers to
//! LIST and UIDL are the octets that came, so nothing is parsed but by us.

use ::pop3_client::SyncClient;

use crate::{HOST, Job, PASSWORD, Result, Task, USER};

pub fn run(task: &Task) -> Result<()> {
    task.no_tls()?;
    let mut client = SyncClient::connect(HOST, task.port)?;
    client.login(USER, PASSWORD)?;
    if task.job == Job::List {
        return Err("pop3-client does not parse lists".into());
    }
    for number in 1..=u64::from(task.count) {
        task.take(&client.retr(number)?)?;
    }
    client.quit()?;
    Ok(())
}
