//! Session descriptions over real sockets and the real relay: what a profile's policy and the machine's addresses make of
//! them.

use provisioning_store::model::Srtp;

use super::*;

const ECHO: &str = "17606604690";
const KEY: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";

#[tokio::test]
async fn where_media_is_in_the_clear_a_key_that_is_offered_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(directory.path(), "35000-35019")).await.unwrap();
    let credentials = provision(&daemon).await;
    for (srtp, name) in [(Srtp::Optional, "optional"), (Srtp::Off, "off")] {
        let settings = ProfileSettings { srtp, ..ProfileSettings::default() };
        daemon.store().set_profile_settings(credentials.profile, settings).await.unwrap();
        changes_hold(&daemon).await;
        let pbx = Pbx { name, ..Pbx::new(&daemon, credentials.clone()).await };
        let answer = pbx.call_with(ECHO, &(offer(4000) + KEY)).await;
        assert!(answer.starts_with("SIP/2.0 200") && answer.contains(" RTP/AVP 0"), "{answer}");
        assert_eq!(answer.contains("a=crypto"), srtp == Srtp::Optional, "RFC 8643, {name}: {answer}");
        pbx.hang_up(&answer).await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn media_of_a_family_that_the_machine_does_not_have_is_refused_in_its_own_words() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(directory.path(), "35020-35039")).await.unwrap();
    let pbx = Pbx::new(&daemon, provision(&daemon).await).await;
    let answer = pbx.call_with(ECHO, &offer(4000).replace("IP4 127.0.0.1", "IP6 ::1")).await;
    assert!(answer.starts_with("SIP/2.0 488"), "{answer}");
    assert_eq!(header(&answer, "X-Sipgw-Reason"), "address_family_unsupported");
    let why = Refusal::AddressFamilyUnsupported.sentence();
    assert!(header(&answer, "Warning").contains(why), "{answer}");
    assert!(daemon.engine().calls(CallsOf::Everybody, None, 10).await.is_empty());
    daemon.stop().await;
}
