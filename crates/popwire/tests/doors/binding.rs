// Channel binding, as OpenSSL sees it: what the client binds to is what the other end of the TLS session has. P-126.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire::{Connector, Login, Mechanism, Security, Tls};
use sha2::{Digest as _, Sha256, Sha384};

use crate::openssl::{OpenSsl, Signature};

helper! {
    /// Logs in by SCRAM-SHA-256-PLUS at OpenSSL's own server, which exports its side of the session, and refuses in the
    /// end. Returns what the client said of its binding, and what OpenSSL exported.
    fn bound_to(version: &'static str, signature: Signature) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let server = OpenSsl::start(version, signature);
        let tls = Tls::new().with_root_certificates(&server.certificate_pem).unwrap();
        let connector =
            Connector::new("localhost").port(server.port).security(Security::Tls).tls(tls);
        let login = Login::password("alice", "s3cret pass").methods([Mechanism::ScramSha256Plus]);
        let mut client = go!(Client::connect(&connector)).unwrap();
        assert!(client.tls().unwrap().version.ends_with(version), "{:?}", client.tls());
        assert!(go!(client.login(&login)).unwrap_err().is_authentication());
        drop(client);
        let certificate = server.certificate_der.clone();
        let (header, exported) = server.heard();
        (STANDARD.decode(header).unwrap(), exported, certificate)
    }
}

case! {
    fn p_126_tls_1_3_is_bound_by_the_exporter_of_rfc_9266() {
        let (bound, exported, _) = go!(bound_to("1_3", Signature::EcdsaSha256));
        assert_eq!(exported.len(), 32);
        assert_eq!(bound, [&b"p=tls-exporter,,"[..], &exported].concat());
    }

    fn p_126_tls_1_2_is_bound_by_the_hash_of_the_certificate() {
        let header = &b"p=tls-server-end-point,,"[..];
        for (signature, bits) in
            [(Signature::EcdsaSha256, 256), (Signature::RsaSha256, 256), (Signature::RsaSha384, 384), (Signature::PssSha384, 384)]
        {
            let (bound, _, certificate) = go!(bound_to("1_2", signature));
            let hash = match bits {
                256 => Sha256::digest(&certificate).to_vec(),
                _ => Sha384::digest(&certificate).to_vec(),
            };
            assert_eq!(bound, [header, &hash].concat(), "{signature:?}");
        }
    }
}
