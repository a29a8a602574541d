//! Tokens of MIT's library (1.20) and of the JDK (17), and the keytab of the server that they were made for, as `ktadd`
//! wrote it. The realm they are of was made for this and is gone.

use std::sync::Arc;

use super::fresh;
use crate::kerberos::Refusal;
use crate::kerberos::accept::Acceptor;
use crate::kerberos::keytab::Keytab;
use crate::kerberos::principal::Principal;
use crate::sasl::gssapi::{self, Server, Step};

/// Of `zookeeper/localhost@EXAMPLE.ORG`.
const KEYTAB: &str = "\
    0502000000560002000b4558414d504c452e4f524700097a6f6f6b656570657200096c6f63616c686f7374000000016b01f9a902001200\
    2070a31be5157ea398a5fde0c88a8b1bbcbaa03f93049acf092a16b082f1b1c29900000002000000460002000b4558414d504c452e4f52\
    4700097a6f6f6b656570657200096c6f63616c686f7374000000016b01f9a902001100106ff51eeab485efd8beaa724ec8185663000000\
    02000000560002000b4558414d504c452e4f524700097a6f6f6b656570657200096c6f63616c686f7374000000016b01f9a90200140020\
    1ad6270f10236f4b8c33e4db6d53c21e705ff59b56c784354e32e392859fd2ea00000002000000460002000b4558414d504c452e4f5247\
    00097a6f6f6b656570657200096c6f63616c686f7374000000016b01f9a902001300107d146fb06a4c23902420d2df8e7a234300000002";

const MIT_TIME: i64 = 1795291564;
/// What MIT's library sends to begin with.
const MIT_TOKEN: &str = "\
    608202bb06092a864886f71201020201006e8202aa308202a6a003020105a10302010ea20703050000000000a38201bf618201bb308201\
    b7a003020105a10d1b0b4558414d504c452e4f5247a221301fa003020103a11830161b097a6f6f6b65657065721b096c6f63616c686f73\
    74a382017c30820178a003020112a103020102a282016a048201661d0aaef299db75f4a7cf1b50c7f2fdc8f86782100b9f4806b4bd791e\
    72097cef1c858c42a9b776e10c85e72c6b1e8e6ea962b4b8580c33fb745fc837493539e3922282cb3caf81c5300e8ac3b34c1b26abb4a7\
    11aa81891916cfd65cfd402ecf414a59d44bddc83409c833dcfb2cbea96f7c1d8d5fb123ee8da4823ff2caef8616b296049ce0bef1e487\
    528d653c9e1f69f9484c11f3d10dd58daa939b14039c27127bfa8ae220c062f803df17179a689ca2bc30bf34a215477fe876aceac5c79a\
    6d1508ef816395c60a99daff308912305c47c23d82f90046b8c47f957001618573e18b9ea3b97918ba408fd13ecfb2824cecf397cc420c\
    c4ce1f5a0fd87bdfc71a40b0ab0425d1833dc926a25fe9241e6b99bf38eca2079470659ff262f119ef5c2db32d76f90ed451d3832b227d\
    866955c04802e686d321169da8f6cae864c65d4780f1a568a9bab23a5eca972629b60dd520687f3fe40ebf05c8e4aa03614d7806defe16\
    a481cd3081caa003020112a281c20481bf47bcde8e92bc538b8292c70353e925d8e86d8e7b487dd6c3222bdd8d4a5bcb69d366d332eff7\
    d4e2ce50c5bd44683c0b43586009d3b2b7f22459d9f471085aeae8b092ae5226fec395f094c2600014610737334c921967e4a85a0c22bd\
    115085c8d412b02001a81887bfd3a1b4490493c864dd9a2282668ab4425ccb64f759cded6a9dfb0a99e056da68c25c41f3dbc74c2a5871\
    fe19252337fc36f199f7f421e823e9cde0713a99bee648a19c0a107152f4f7598a9c22cb6f0044ed082b3f";
/// And to end with.
const MIT_CHOICE: &str = "\
    050400ff000c00000000000038df0ef901000000616c696365404558414d504c452e4f52473140e6ea6569cacadd266204";

const MIT_SEALED_TIME: i64 = 1795291564;
/// The same with the choice encrypted to begin with.
const MIT_SEALED_TOKEN: &str = "\
    608202bb06092a864886f71201020201006e8202aa308202a6a003020105a10302010ea20703050000000000a38201bf618201bb308201\
    b7a003020105a10d1b0b4558414d504c452e4f5247a221301fa003020103a11830161b097a6f6f6b65657065721b096c6f63616c686f73\
    74a382017c30820178a003020112a103020102a282016a04820166c8a5c8be4a3e00a4f3330874808d0cc9ebffe7b806f14c318ca9f53f\
    6a7174c17dac1bd535192b3b9bdf812e737415fc5eb8cea74460fd0c109e40b86551aaf94dc528cb33b916b6bb4fedf88bd9d71d5a738b\
    7c349e203b69cacccfabaa9af8e88d792c06d6e586eb72320cc01841c4e64b3fa932f78f12ea206977d0d3bc571acb30a1170f3ecacd5a\
    4f3c7a771183b51d071955a91ce488c42c4dac8da1d8f6397503b263870e22fdc6901cac20da349cc123540fc286c9e44863715d7ea0ad\
    459b24820be729143df8dcdf945e9fb4435371ba60ab7d2b0104c9353bdd95e47109066632f11f49d086fd169b2fe1202cbe75cd060c94\
    c3102fe47d000470a6c5c6648324c3ec720512033c54a1c269c96791b1069456995f7e58314212afda7b092dbe69e4e4d305eb621d6409\
    d698cab33de6fdfaa8569a3e621af942efd64aea7db101c3db33718d94a274c1b4a3871284797c81258bf154308e9d15c45464078c008d\
    a481cd3081caa003020112a281c20481bf3bc62d4bad2b3fdd68a9f66f3deafaef6e238f4de43163e78ef7556194a11e00fd8672a743a4\
    e1dd0252af5af6efc21c7fd8a38a31a8a5235faefc7c47b710cfeb67a20cc30baa7ad03bf63804c5119e6457ab9336b719a1b363e097e7\
    eccbc867481dd61eb04cfdb5060e675254b3082e0c7000332e6d2c0dd8b559c691492a01e10c4957489441c2e1bef3aac8f56772d102f5\
    cc54694d65b6c607e0a69fc95629af36d7f002f9cc84aab167bdfa3faa68b9651f805d359a8dd15d50a1c3";
/// And to end with.
const MIT_SEALED_CHOICE: &str = "\
    050402ff0000000000000000056f177a2a51874a22381c08ea45ab5aa5364bd91ac4dfe02084c2251afd34499a4b69d05ee45309335b11\
    e392800cc67af9c16e2a2ad84c02935d08bc9b79e072a3b9454b";

const JDK_TIME: i64 = 1795291608;
/// What the JDK sends to begin with.
const JDK_TOKEN: &str = "\
    608202cf06092a864886f71201020201006e8202be308202baa003020105a10302010ea20703050000000000a38201d2618201ce308201\
    caa003020105a10d1b0b4558414d504c452e4f5247a221301fa003020100a11830161b097a6f6f6b65657065721b096c6f63616c686f73\
    74a382018f3082018ba003020112a103020102a282017d04820179e54b52af0fd7a52b047edd531efdd157fdefabe57cf5be683bd2c06c\
    052e803b716d49b12218dd27f552afc60e6532dc6109ec77684cb29b6e91913634ce3d501bbc13f9d3aa7a054855a50089128b7ae11e74\
    11f462bbbfbfb623ba3c4187b7df6b2570788e1d0de4e9816318c1231b476cfe67630ca42c680aa98630f84901085498ad87288e959a8b\
    1c76eb6f1711d62fba8ba90da6547f82fd1200cb5c775d5e7462d993814fef8662e56b6e4a24fbb24d0cf5de725caa277d9d7ed31220dc\
    2c941eb171d8d8cc867d02a5af83cacfac4d7470456d0c91827e103e0b180160ded1c1108aa81b5932c76e5405ab6d95a7b5b55152632d\
    7fc2e894f58497aefc941e5b8dd69b28e31af4f8d58d812ade42763be3f2762b16ba4f34e09282e5fce88546b812e63f34f5e2206d8cc8\
    805263220fa8a479a5b5cfe7538e8b486c112fcc2baf418aecc0421f34499797ad46035949f64d18b69ecb7d898672eeb4bbe32a4db402\
    7e676a60ad8601952a7283619932afc7f3d817a481ce3081cba003020112a281c30481c079c9e560ea195cba14684d35f58a6e76f3c883\
    89408362b1c80e1f3ab6370bb88b2e8187d96caa526d49ac8586eb936a01f37f7b59bfdd1e92d60be969bb90962c9dc987cda6d2c5f79e\
    1ec6d495845cf05d97cde04d4f6682054dc35e85e0c81d60970b24c9e227da9950efe1c7bd8becdf76e303d18bfa9e05a73f23a628e93b\
    d62a3638668e0620ac713b4bdc57b33c1330265d342e6fe34e19a23d7c1bea222aa7db8c4d76bd1e6d68e7619b95c630fa514cf72e0ebb\
    ed4a4059cf8b3c9e";
/// And to end with.
const JDK_CHOICE: &str = "\
    050400ff000c000000000000082ae72c01000000616c696365404558414d504c452e4f524721dfc6c486f4f84b81258138";

const MUTUAL_TIME: i64 = 1795291564;
/// MIT's library, of `kafka/broker1`, which wants a proof as well.
const MUTUAL_TOKEN: &str = "\
    608202dd06092a864886f71201020201006e8202cc308202c8a003020105a10302010ea20703050020000000a38201d8618201d4308201\
    d0a003020105a10d1b0b4558414d504c452e4f5247a221301fa003020103a11830161b097a6f6f6b65657065721b096c6f63616c686f73\
    74a382019530820191a003020112a103020102a28201830482017f3c48e0fc77b02d1a3492084ff797f573fbc4dd4d3a5d75b1a1500752\
    707deb246364a4df2d5574e949a3984bac562342ed439820439d78438405de26f7dfea55c57da907aa0126fa72f7565f95184aad733eae\
    cb023056a0c92aba926bbc0f3a73761a49b4aa462e3cd7b65eed355128919d71a442686649f05041ecae240a7e074619998270fabd0038\
    d526b718fb77b27bf60958a3aa510d9935a05ba507e046df459cbad1b60c11c2226e3074bf765af61bbfb2879db42661d4b7dc85da450d\
    5da1f8ca37269f2edd18faca298f08318707e78fe1b71cc2ca64ae07c46cf988685d703705ca0a02f43721c54ab337b1067f42aa0a19ef\
    96fe4a174d9f65e16756ebd49932c2832dc54282c02970e5409ae95a0ea2483514d37a14a77427b1baddb3488987afe14c50505461dc35\
    5b6a8ec3130d19e37a4bbba3819d4c1136ebadf9da0d3a6fefb37b68752844d3296902f8836535b1a101d1305b312e6fb26bfa71855375\
    d5d5742eafe9a521392f5e9e27f610bc3516a198a11b383fdea481d63081d3a003020112a281cb0481c86f8b6f31e3c9bf51f84192aa83\
    0a8663ecf84bf7b98bd27e62518a402f0be8a2c9e49c375f3fd47b0520b70793151d8efe14c8fb74a28ea5cab69dfd2bc57715747fc8ca\
    261f5d6fdfc93638ee4042e6ffcef3a6724781ce970f7bd6fbde4af7815220d5a08f07d8ace1dcbcc7f646f7a06d502c8f6e2f82c30d61\
    d46be4639c08db9b2fbdafd32e97059d105e0da7c856425c58d07be7c330eb7a34e4f1ccc8159860f5e017e6a02180fef24ce9a0892f01\
    5ea00f476edaab4c1f3e16970a15a9f29916d4888957";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).unwrap() as u8;
    hex.as_bytes()
        .chunks(2)
        .map(|two| digit(two[0]) << 4 | digit(two[1]))
        .collect()
}

fn acceptor() -> Acceptor {
    let keytab = Arc::new(Keytab::parse(&bytes(KEYTAB)).unwrap());
    let service = Principal::parse("zookeeper/localhost@EXAMPLE.ORG", None).unwrap();
    Acceptor::new(service, Box::new(keytab), 300)
}

fn exchange(
    token: &str,
    choice: &[u8],
    now: i64,
) -> Result<(String, Option<String>), gssapi::Refusal> {
    let step = Server::begin(&acceptor(), &bytes(token), now, &fresh())?;
    let Step::Continue(server, _) = step else {
        panic!("there is more to say");
    };
    match server.step(choice)? {
        Step::Proved {
            client,
            authorization,
        } => Ok((client.to_string(), authorization)),
        Step::Continue(..) => panic!("nothing more to say"),
    }
}

#[test]
fn clients_of_others() {
    for (token, choice, time) in [
        (MIT_TOKEN, MIT_CHOICE, MIT_TIME),
        (MIT_SEALED_TOKEN, MIT_SEALED_CHOICE, MIT_SEALED_TIME),
        (JDK_TOKEN, JDK_CHOICE, JDK_TIME),
    ] {
        let alice = "alice@EXAMPLE.ORG".to_owned();
        let choice = bytes(choice);
        assert_eq!(
            exchange(token, &choice, time),
            Ok((alice.clone(), Some(alice)))
        );
        for at in 0..choice.len() {
            let mut damaged = choice.clone();
            damaged[at] ^= 0x20;
            let refused = exchange(token, &damaged, time);
            assert!(refused.is_err(), "byte {at} of {choice:02x?}: {refused:?}");
        }
        let late = exchange(token, &choice, time + 400)
            .unwrap_err()
            .to_string();
        assert!(
            late.starts_with("the clock of alice@EXAMPLE.ORG differs"),
            "{late}"
        );
    }
    let other = exchange(MIT_TOKEN, &bytes(JDK_CHOICE), MIT_TIME).unwrap_err();
    let wrong_key = gssapi::Refusal::Kerberos(Refusal::WrongKey("the token of the context"));
    assert_eq!(other, wrong_key);
}

#[test]
fn a_proof_is_given_to_whom_wants_it() {
    let accepted = acceptor()
        .accept(&bytes(MUTUAL_TOKEN), MUTUAL_TIME, &fresh())
        .unwrap();
    assert_eq!(accepted.client.to_string(), "kafka/broker1@EXAMPLE.ORG");
    assert!(accepted.reply.is_some());
    let silent = acceptor()
        .accept(&bytes(JDK_TOKEN), JDK_TIME, &fresh())
        .unwrap();
    assert_eq!(silent.reply, None);
}

#[test]
fn damage_anywhere_in_what_counts_is_noticed() {
    let acceptor = acceptor();
    let good = bytes(JDK_TOKEN);
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        if let Ok(accepted) = acceptor.accept(&damaged, JDK_TIME, &fresh()) {
            assert_eq!(
                accepted.client.to_string(),
                "alice@EXAMPLE.ORG",
                "byte {at}"
            );
        }
    }
}
