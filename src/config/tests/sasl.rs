//! SASL: who has to authenticate, and where the accounts stand.

use super::*;

const FILE: &str = "java.security.auth.login.config=/jaas.conf";
const PROVIDER: &str = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider";

#[test]
fn nothing_is_required_by_default() {
    let (config, _) = read("");
    assert_eq!(config.sasl.jaas_file, None);
    assert_eq!(config.sasl.members, None);
    assert_eq!(config.sasl.clients_section, "Server");
    assert!(!config.sasl.needs_clients_section && !config.sasl.fips);
}

#[test]
fn the_file_of_the_jvm() {
    for (given, expected) in [
        ("/jaas.conf", "/jaas.conf"),
        ("=/jaas.conf", "/jaas.conf"),
        ("file:/jaas.conf", "/jaas.conf"),
        ("=file:///jaas.conf", "/jaas.conf"),
        ("jaas.conf", "jaas.conf"),
    ] {
        let (config, _) = read_with("", &format!("-Djava.security.auth.login.config={given}"));
        assert_eq!(config.sasl.jaas_file, Some(expected.into()), "{given}");
    }
}

#[test]
fn members() {
    let (config, _) = read(&format!("{FILE}\nquorum.auth.enableSasl=true"));
    let default = SaslOfMembers {
        learner_requires: false,
        server_requires: false,
        learner_section: "QuorumLearner".to_owned(),
        server_section: "QuorumServer".to_owned(),
    };
    assert_eq!(config.sasl.members.as_ref(), Some(&default));
    let (config, _) = read(&format!(
        "{FILE}\nquorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true\n\
         quorum.auth.serverRequireSasl=true\nquorum.auth.learner.saslLoginContext=L\n\
         quorum.auth.server.saslLoginContext=S\nquorum.cnxn.threads.size=30"
    ));
    let required = SaslOfMembers {
        learner_requires: true,
        server_requires: true,
        learner_section: "L".to_owned(),
        server_section: "S".to_owned(),
    };
    assert_eq!(config.sasl.members, Some(required));
    let error = only_error("quorum.auth.enableSasl=true");
    assert!(error.contains("members have no accounts"), "{error}");
}

#[test]
fn enforcing_sasl_needs_its_scheme() {
    let required = format!("{FILE}\n{PROVIDER}\nsessionRequireClientSASLAuth=true");
    let (config, _) = read(&required);
    assert!(config.enforce_auth.enabled && config.sasl.needs_clients_section);
    assert_eq!(config.enforce_auth.schemes, ["sasl"]);
    // It is the same as this, and other schemes do not count beside it.
    let (config, _) = read(&format!(
        "{required}\nenforce.auth.enabled=false\nenforce.auth.schemes=digest"
    ));
    assert_eq!(config.enforce_auth.schemes, ["sasl"]);
    let (config, _) = read(&format!(
        "{FILE}\n{PROVIDER}\nenforce.auth.enabled=true\nenforce.auth.schemes=sasl,digest"
    ));
    assert_eq!(config.enforce_auth.schemes, ["sasl", "digest"]);
    assert!(config.sasl.needs_clients_section);
    let error = only_error("enforce.auth.enabled=true\nenforce.auth.schemes=sasl");
    assert!(
        error.ends_with("enforce.auth.schemes: Authentication scheme sasl is not available."),
        "{error}"
    );
    let error = only_error("sessionRequireClientSASLAuth=true");
    assert!(
        error.ends_with("Authentication scheme sasl is not available."),
        "{error}"
    );
}

#[test]
fn users_of_kerberos() {
    let (config, _) = read("");
    let default = Kerberos {
        conf_file: None,
        default_realm: None,
        name_rules: "DEFAULT".to_owned(),
        removes_host: false,
        removes_realm: false,
    };
    assert_eq!(config.sasl.kerberos, default);
    let loaded = read_with(
        "kerberos.removeHostFromPrincipal=true\nkerberos.removeRealmFromPrincipal=TRUE",
        "-Djava.security.krb5.conf=/krb5.conf -Djava.security.krb5.realm=R \
         -Dzookeeper.security.auth_to_local=RULE:[1:$1]DEFAULT",
    );
    let expected = Kerberos {
        conf_file: Some("/krb5.conf".into()),
        default_realm: Some("R".to_owned()),
        name_rules: "RULE:[1:$1]DEFAULT".to_owned(),
        removes_host: true,
        // As in Java, only this word counts.
        removes_realm: false,
    };
    assert_eq!(loaded.0.sasl.kerberos, expected);
    let told = warnings(&loaded);
    assert!(
        told.len() == 1 && told[0].contains("only the exact word true changes anything"),
        "{told:?}"
    );
}
