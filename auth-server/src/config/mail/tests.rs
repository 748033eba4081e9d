//! The way to the SMTP server.

use super::*;
use crate::config::tests::{effective, read, refused};

#[test]
fn what_makes_no_sense_is_refused_with_what_to_write_instead() {
    for (lines, expected) in [
        ("from = \"a@b.test\"", "it means nothing without mail.host"),
        ("host = \"smtp://mail.test\"\nfrom = \"a@b.test\"", "is no host name"),
        ("host = \"mail.test\"", "write the address that mail comes from too"),
        ("host = \"mail.test\"\nfrom = \"Doorward\"", "write an address such as"),
        ("host = \"mail.test\"\nfrom = \"a@b.test\"\ntls = \"none\"", "is another machine"),
        ("host = \"mail.test\"\nfrom = \"a@b.test\"\ntls = \"ssl\"", "write one of starttls, implicit, none"),
        ("host = \"mail.test\"\nfrom = \"a@b.test\"\nport = 65536", "from 1 to 65535"),
        ("host = \"mail.test\"\nfrom = \"a@b.test\"\nuser = \"x\"", "write mail.password_file"),
        ("host = \"mail.test\"\nfrom = \"a@b.test\"\npassword = \"x\"", "write mail.user too"),
        (
            "host = \"mail.test\"\nfrom = \"a@b.test\"\nuser = \"x\"\npassword_file = \"/nonexistent\"",
            "name a file",
        ),
    ] {
        let problems = refused(&format!("[mail]\n{lines}"), &[]);
        assert!(problems.contains(expected), "{lines}: {problems}");
    }
}

#[test]
fn mail_is_off_until_a_server_and_a_sender_are_named() {
    assert!(read("", &[]).unwrap().mail.is_none());
    let on = "[mail]\nhost = \"mail.test\"\nfrom = \"Doorward <a@b.test>\"";
    for (more, tls, port) in [
        ("", Tls::StartTls, 587),
        ("tls = \"implicit\"", Tls::Implicit, 465),
        ("port = 2525", Tls::StartTls, 2525),
        ("host = \"127.0.0.1\"\ntls = \"none\"", Tls::None, 25),
    ] {
        let text = if more.starts_with("host") {
            on.replace("host = \"mail.test\"", more)
        } else {
            format!("{on}\n{more}")
        };
        let config = read(&text, &[]).unwrap();
        assert_eq!(effective(&config, "mail.port").0, port.to_string());
        let mail = config.mail.unwrap();
        assert_eq!((mail.tls, mail.port, mail.login), (tls, port, None));
        assert!(config.policy.mail);
    }
}

#[test]
fn a_mail_password_is_never_shown_and_can_come_from_a_file_of_its_own() {
    let on = "[mail]\nhost = \"mail.test\"\nfrom = \"a@b.test\"\nuser = \"doorward\"";
    let path = std::env::temp_dir().join(format!("doorward-config-{}.mail", std::process::id()));
    std::fs::write(&path, " hunter2 \n").unwrap();
    let name = path.display().to_string();
    let filed = read(on, &[("DOORWARD__MAIL__PASSWORD_FILE", &name)]);
    let both = refused(&format!("{on}\npassword = \"hunter2\""), &[("DOORWARD__MAIL__PASSWORD_FILE", &name)]);
    std::fs::remove_file(&path).unwrap();
    let (_, password) = filed.unwrap().mail.unwrap().login.unwrap();
    assert_eq!(password.0, " hunter2 ");
    assert!(both.contains("keep one of them") && !both.contains("hunter2"), "{both}");
    let config = read(on, &[("DOORWARD__MAIL__PASSWORD", "hunter2")]).unwrap();
    assert_eq!(effective(&config, "mail.password").0, "***");
    assert!(!format!("{config:?}").contains("hunter2"));
}
