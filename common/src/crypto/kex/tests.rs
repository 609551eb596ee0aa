use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;

use super::*;
use crate::crypto::unhex;
use crate::crypto::vectors;
use crate::crypto::vectors::Given;
use crate::crypto::vectors::Hex;
use crate::crypto::vectors::Verdict;
use crate::crypto::vectors::Wycheproof;

const RFC7748: &str = include_str!("../vectors/rfc7748_x25519.json");

/// One side of an exchange.
#[derive(Debug, Deserialize)]
struct Exchange {
    private: Hex,
    /// The share that goes with `private`, where the source gives it.
    own: Option<Hex>,
    /// The other side's.
    public: Hex,
    shared: Hex,
}

/// The key pair of a given private key.
fn pair(kex: Kex, private: &[u8]) -> (Private, Vec<u8>) {
    Private::generate(kex, &Settings::default(), &mut Given(private)).unwrap()
}

fn agree(kex: Kex, private: &[u8], share: &[u8]) -> Result<Hex, BadShare> {
    pair(kex, private).0.agree(share).map(|secret| Hex(secret.expose().to_vec()))
}

/// A share and its coordinates, of a point that there is.
fn point() -> ([u8; 32], [u8; 32]) {
    let (_, share) = pair(Kex::P256, &[7; 32]);
    (share[1..33].try_into().unwrap(), share[33..].try_into().unwrap())
}

fn refused(kex: Kex, share: &[u8]) -> BadShare {
    agree(kex, &[7; 32], share).expect_err("this share is refused")
}

#[test]
fn both_sides_compute_the_same_secret_and_never_the_same_one_twice() {
    let mut rng = StdRng::seed_from_u64(1);
    for (kex, length) in [(Kex::P256, 65), (Kex::X25519, 32)] {
        let mut secrets = Vec::new();
        for _ in 0..8 {
            let (alice, share_a) = Private::generate(kex, &Settings::default(), &mut rng).unwrap();
            let (bob, share_b) = Private::generate(kex, &Settings::default(), &mut rng).unwrap();
            assert_eq!([share_a.len(), share_b.len()], [length, length]);
            assert_ne!(share_a, share_b);
            let secret = *alice.agree(&share_b).unwrap().expose();
            assert_eq!(secret, *bob.agree(&share_a).unwrap().expose());
            assert!(!secrets.contains(&secret));
            secrets.push(secret);
        }
    }
}

#[test]
fn x25519_is_that_of_rfc_7748() {
    for test in vectors::parse::<Exchange>(RFC7748) {
        let (private, share) = pair(Kex::X25519, &test.private);
        assert!(test.own.is_none_or(|own| *own == *share));
        assert_eq!(*private.agree(&test.public).unwrap().expose(), *test.shared);
    }
}

#[test]
fn x25519_iterated_is_that_of_rfc_7748() {
    #[derive(Deserialize)]
    struct File {
        iterated: BTreeMap<usize, Hex>,
    }
    let File { iterated } = serde_json::from_str(RFC7748).unwrap();
    assert_eq!(iterated.keys().collect::<Vec<_>>(), [&1, &1000]);
    let mut u = unhex(&format!("09{}", "00".repeat(31))).unwrap();
    let mut scalar = u.clone();
    for round in 1..=1000 {
        let next = agree(Kex::X25519, &scalar, &u).unwrap();
        u = scalar;
        scalar = next.0;
        assert!(iterated.get(&round).is_none_or(|expected| **expected == *scalar), "{round}");
    }
}

#[test]
fn x25519_is_that_of_wycheproof_and_refuses_zero() {
    let tests = include_str!("../vectors/wycheproof_x25519.json");
    let mut zero = 0;
    for test in vectors::parse::<Wycheproof<Exchange>>(tests) {
        let expected = match test.flags.iter().any(|flag| flag == "ZeroSharedSecret") {
            true => Err(BadShare::Known),
            false => Ok(test.case.shared),
        };
        zero += usize::from(expected.is_err());
        assert_ne!(test.result, Verdict::Invalid);
        let got = agree(Kex::X25519, &test.case.private, &test.case.public);
        assert_eq!(got, expected, "{}", test.id);
    }
    assert_eq!(zero, 31);
}

#[test]
fn p256_is_that_of_wycheproof_with_uncompressed_points_alone() {
    let tests = include_str!("../vectors/wycheproof_ecdh_secp256r1_ecpoint.json");
    let mut valid = 0;
    for test in vectors::parse::<Wycheproof<Exchange>>(tests) {
        let Exchange { private, public, shared, .. } = test.case;
        // A number of any length there, of 32 bytes here.
        let leading = private.iter().take_while(|byte| **byte == 0).count();
        let digits = &private[leading..];
        let private = [&vec![0; 32 - digits.len()], digits].concat();
        let expected = match test.result {
            Verdict::Valid => Ok(shared),
            _ if public.len() == POINT => Err(BadShare::NotOnCurve),
            _ => Err(BadShare::Length { got: public.len(), expected: POINT }),
        };
        valid += usize::from(expected.is_ok());
        assert_eq!(agree(Kex::P256, &private, &public), expected, "{}", test.id);
    }
    assert_eq!(valid, 330);
}

#[test]
fn p256_takes_no_other_form_of_the_same_point() {
    let (x, y) = point();
    assert!(agree(Kex::P256, &[9; 32], &[&[4], &x[..], &y].concat()).is_ok());
    for form in (0..=255).filter(|form| *form != 4) {
        // Among them the compressed (02, 03) and the hybrid one (06, 07) of SEC 1, in full length.
        let share = [&[form], &x[..], &y].concat();
        assert_eq!(refused(Kex::P256, &share), BadShare::Form(form));
        assert_eq!(refused(Kex::P256, &share[..33]), BadShare::Length { got: 33, expected: 65 });
    }
    let text = refused(Kex::P256, &[&[7], &x[..], &y].concat()).to_string();
    assert!(text.contains("no uncompressed point") && text.contains("07 instead of 04"), "{text}");
}

#[test]
fn p256_refuses_what_is_no_point() {
    let (x, y) = point();
    let identity = [0];
    assert_eq!(refused(Kex::P256, &identity), BadShare::Length { got: 1, expected: 65 });
    assert_eq!(refused(Kex::P256, &[0; POINT]), BadShare::Form(0), "an identity in full length");
    let origin = [&[4][..], &[0; 64]].concat();
    assert_eq!(refused(Kex::P256, &origin), BadShare::NotOnCurve);
    assert_eq!(refused(Kex::P256, &[&[4], &y[..], &x].concat()), BadShare::NotOnCurve);
    for bit in 0..256 {
        let mut wrong = y;
        wrong[bit / 8] ^= 1 << (bit % 8);
        let share = [&[4], &x[..], &wrong].concat();
        assert_eq!(refused(Kex::P256, &share), BadShare::NotOnCurve, "{bit}");
    }
    assert_eq!(refused(Kex::P256, &[255; POINT]), BadShare::Form(255));
    assert_eq!(refused(Kex::P256, &[&[4][..], &[255; 64]].concat()), BadShare::NotOnCurve);
    let text = BadShare::NotOnCurve.to_string();
    assert!(text.contains("no point on the curve P-256"), "{text}");
}

#[test]
fn p256_takes_each_coordinate_below_the_prime_only() {
    let p = unhex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff").unwrap();
    // y² = b, the point with x = 0; with x = p it would be the same one in other bytes.
    let y = unhex("66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4").unwrap();
    assert!(agree(Kex::P256, &[9; 32], &[&[4][..], &[0; 32], &y].concat()).is_ok());
    assert_eq!(refused(Kex::P256, &[&[4][..], &p, &y].concat()), BadShare::NotOnCurve);
}

#[test]
fn a_share_of_another_length_is_refused_before_anything_else() {
    let (x, y) = point();
    let share = [&[4], &x[..], &y, &[0; 300]].concat();
    for (kex, expected) in [(Kex::P256, 65), (Kex::X25519, 32)] {
        for got in (0..share.len()).filter(|got| *got != expected) {
            assert_eq!(refused(kex, &share[..got]), BadShare::Length { got, expected });
        }
    }
    let text = refused(Kex::X25519, &share[..31]).to_string();
    assert!(text.contains("31 bytes instead of 32"), "{text}");
}

/// u of every point of order 1, 2, 4 or 8 on the curve and its twist, and the other ways of writing
/// it in 255 bits; the 256th bit is ignored (RFC 7748, section 5).
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn x25519_refuses_every_share_whose_secret_everybody_knows() {
    for low in LOW_ORDER {
        let mut share = unhex(low).unwrap();
        for high in [0, 0x80] {
            share[31] |= high;
            for private in [[7; 32], [0; 32], [255; 32]] {
                assert_eq!(agree(Kex::X25519, &private, &share), Err(BadShare::Known), "{low}");
            }
        }
    }
    let text = BadShare::Known.to_string();
    assert!(text.contains("a secret that everybody knows"), "{text}");
}
