//! The report as an object of `--json`.

use std::time::Duration;

use jiff::Timestamp;
use popwire::Capabilities;
use popwire::Certificate;
use popwire::probe::{Outcome, Report};
use serde::Serialize;

use crate::settings::Account;

/// All of it. What is not known is null.
#[derive(Serialize)]
pub(super) struct Object {
    event: &'static str,
    account: String,
    host: String,
    port: u16,
    greeting: Option<String>,
    tls: Option<TlsObject>,
    certificate: Option<CertificateObject>,
    capabilities: Stages,
    mechanisms: Vec<String>,
    signed_in_by: Option<&'static str>,
    login_ms: Option<f64>,
    messages: Option<u64>,
    octets: Option<u64>,
    round_trip_ms: Option<f64>,
    connections: u32,
    checks: Vec<CheckObject>,
    findings: Vec<FindingObject>,
    error: Option<String>,
}

#[derive(Serialize)]
struct TlsObject {
    version: String,
    cipher_suite: String,
    verified: bool,
}

#[derive(Serialize)]
struct CertificateObject {
    subject: String,
    issuer: String,
    names: Vec<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    days_left: i64,
    key: String,
}

#[derive(Serialize)]
struct Stages {
    before_tls: Option<Vec<String>>,
    before_login: Option<Vec<String>>,
    after_login: Option<Vec<String>>,
}

#[derive(Serialize)]
struct CheckObject {
    subject: &'static str,
    outcome: &'static str,
    seen: String,
}

#[derive(Serialize)]
struct FindingObject {
    id: &'static str,
    subject: &'static str,
    hint: bool,
    seen: String,
    consequence: &'static str,
}

impl Object {
    pub(super) fn of(report: &Report, account: &Account) -> Self {
        let stages = &report.capabilities;
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        Self {
            event: "probe",
            account: account.name.clone(),
            host: account.host().to_owned(),
            port: account.connector.effective_port(),
            greeting: report.greeting.as_ref().map(ToString::to_string),
            tls: report.tls.as_ref().map(|tls| TlsObject {
                version: tls.version.clone(),
                cipher_suite: tls.cipher_suite.clone(),
                verified: tls.verified,
            }),
            certificate: report.certificate.as_ref().map(certificate),
            capabilities: Stages {
                before_tls: stages.before_tls.as_ref().map(lines),
                before_login: stages.before_login.as_ref().map(lines),
                after_login: stages.after_login.as_ref().map(lines),
            },
            mechanisms: mechanisms(report),
            signed_in_by: report.logged_in_by.map(popwire::Method::name),
            login_ms: report.login_time.map(ms),
            messages: report.messages,
            octets: report.octets,
            round_trip_ms: report.round_trip.map(ms),
            connections: report.connections,
            checks: report.checks.iter().map(check).collect(),
            findings: report.findings.iter().map(finding).collect(),
            error: report.error.as_ref().map(ToString::to_string),
        }
    }
}

fn certificate(certificate: &Certificate) -> CertificateObject {
    let date = |time| Timestamp::try_from(time).ok().map(|time| time.to_string());
    CertificateObject {
        subject: certificate.subject.clone(),
        issuer: certificate.issuer.clone(),
        names: certificate.names.clone(),
        not_before: date(certificate.not_before),
        not_after: date(certificate.not_after),
        days_left: certificate.days_left(std::time::SystemTime::now()),
        key: certificate.key.clone(),
    }
}

fn check(check: &popwire::probe::Check) -> CheckObject {
    let outcome = match check.outcome {
        Outcome::Good => "good",
        Outcome::Odd => "odd",
        Outcome::Absent => "absent",
        _ => "untried",
    };
    CheckObject { subject: check.subject.name(), outcome, seen: check.seen.clone() }
}

fn finding(finding: &popwire::probe::Finding) -> FindingObject {
    FindingObject {
        id: finding.deviation,
        subject: finding.subject.name(),
        hint: finding.hint,
        seen: finding.seen.clone(),
        consequence: finding.consequence,
    }
}

/// The capabilities as the server wrote them, fit to be shown.
pub(super) fn lines(capabilities: &Capabilities) -> Vec<String> {
    let line = |capability: &popwire::Capability| {
        let words = std::iter::once(&capability.tag).chain(&capability.arguments);
        words.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    capabilities.iter().map(line).collect()
}

/// The SASL mechanisms that a login can take.
pub(super) fn mechanisms(report: &Report) -> Vec<String> {
    let before = report.capabilities.before_login.as_ref();
    before.into_iter().flat_map(Capabilities::sasl_mechanisms).map(ToString::to_string).collect()
}
