//! The configurations in which both servers are compared.

#[derive(Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    /// Lines of zoo.cfg; both servers get the same.
    pub lines: &'static [&'static str],
    /// Quotas are enforced: the usage that counts is the committed one, so writes are not pipelined.
    pub enforces_quota: bool,
    /// How many of a hundred operations run in it.
    pub share: u64,
    /// Of several members: what would part them or stop them is not sent.
    pub ensemble: bool,
}

/// No session may expire, and no container be cleaned up, at a moment that differs between two runs.
pub const COMMON: &[&str] = &["minSessionTimeout=60000", "maxSessionTimeout=600000"];

/// Properties that zoo.cfg cannot set, and little work for the JVM's compiler.
pub const JVMFLAGS: &str =
    "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dznode.container.checkIntervalMs=86400000";

pub const PROFILES: &[Profile] = &[
    Profile {
        name: "plain",
        lines: &[
            "extendedTypesEnabled=true",
            "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
        ],
        enforces_quota: false,
        share: 78,
        ensemble: false,
    },
    Profile {
        name: "quota",
        lines: &[
            "extendedTypesEnabled=true",
            "enforceQuota=true",
            "forceSync=no",
            "reconfigEnabled=true",
            "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
        ],
        enforces_quota: true,
        share: 12,
        ensemble: false,
    },
    Profile {
        name: "sha256",
        lines: &[
            "forceSync=no",
            "DigestAuthenticationProvider.digestAlg=SHA-256",
            "DigestAuthenticationProvider.superDigest=super:wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig=",
        ],
        enforces_quota: false,
        share: 10,
        ensemble: false,
    },
];

/// This would let scripts change who the members are.
const RECONFIG: &str = "reconfigEnabled=true";

impl Profile {
    pub fn of_ensemble(self) -> Profile {
        Profile {
            ensemble: true,
            ..self
        }
    }

    pub fn lines(&self) -> impl Iterator<Item = &'static str> {
        let ensemble = self.ensemble;
        let all = COMMON.iter().chain(self.lines).copied();
        all.filter(move |line| !ensemble || *line != RECONFIG)
    }

    pub fn named(name: &str) -> Option<Profile> {
        PROFILES.iter().copied().find(|p| p.name == name)
    }
}
