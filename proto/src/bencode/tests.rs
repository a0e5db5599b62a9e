//! Claims about the guarded scan.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SMALL: Limits = Limits { max_bytes: 4096, max_depth: 8, max_tokens: 64 };

fn refused(input: &[u8]) -> BencodeError {
    scan(input, SMALL).unwrap_err()
}

#[test]
fn values_are_found_with_their_exact_bytes() {
    let input = b"d4:infod4:name1:x3:numi-7eee";
    let scan = scan(input, SMALL).unwrap();
    let info = scan.root().get("info").unwrap();
    assert_eq!(info.raw(), b"d4:name1:x3:numi-7ee");
    assert_eq!(info.span(), 7..27);
    assert_eq!(info.get("name").unwrap().as_str(), Some("x"));
    assert_eq!(info.get("num").unwrap().as_int(), Some(-7));
    assert!(info.get("none").is_none());
}

#[test]
fn lists_and_dictionaries_are_walked_in_the_order_found() {
    let scan = scan(b"ld1:bi1e1:ai2ee0:le4:spame", SMALL).unwrap();
    let members: Vec<Value<'_>> = scan.root().as_list().unwrap().collect();
    assert_eq!(members.len(), 4);
    let keys: Vec<&[u8]> = members[0].as_dict().unwrap().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"b", b"a"]);
    assert_eq!(members[1].as_bytes(), Some(&b""[..]));
    assert_eq!(members[2].as_list().unwrap().count(), 0);
    assert!(members[3].as_list().is_none() && members[3].as_int().is_none());
}

#[test]
fn malformed_input_is_refused() {
    use BencodeError::*;
    assert_eq!(refused(b""), Truncated);
    assert_eq!(refused(b"x"), UnexpectedByte(0));
    assert_eq!(refused(b"e"), UnexpectedByte(0));
    assert_eq!(refused(b"l"), Truncated);
    assert_eq!(refused(b"i12"), Truncated);
    assert_eq!(refused(b"ie"), Integer(0));
    assert_eq!(refused(b"i-e"), Integer(0));
    assert_eq!(refused(b"i+1e"), Integer(0));
    assert_eq!(refused(b"i 1e"), Integer(0));
    assert_eq!(refused(b"i9223372036854775808e"), Integer(0));
    assert_eq!(refused(b"5:spam"), Length(0));
    assert_eq!(refused(b"12"), Truncated);
    assert_eq!(refused(b"1x"), Length(0));
    assert_eq!(refused(b"18446744073709551616:x"), Length(0));
    assert_eq!(refused(b"18446744073709551615:x"), Length(0));
    assert_eq!(refused(b"di1ei2ee"), Key(1));
    assert_eq!(refused(b"d1:ae"), UnexpectedByte(4));
    assert_eq!(refused(b"i1ei2e"), TrailingBytes(3));
}

#[test]
fn costs_are_bounded() {
    assert_eq!(refused(&[b'l'; 9]), BencodeError::TooDeep(8));
    assert_eq!(
        refused(&[b"l".as_slice(), b"0:".repeat(64).as_slice()].concat()),
        BencodeError::TooManyValues(64)
    );
    assert_eq!(refused(&vec![b'l'; 5000]), BencodeError::TooLarge(4096));
    let deep = [vec![b'l'; 1 << 20], vec![b'e'; 1 << 20]].concat();
    assert_eq!(scan(&deep, Limits::TORRENT).unwrap_err(), BencodeError::TooDeep(limits::TORRENT_DEPTH));
}

#[test]
fn a_prefix_leaves_the_rest_alone() {
    let (message, length): (BTreeMap<String, i64>, _) = from_prefix(b"d1:ai1eeREST", SMALL).unwrap();
    assert_eq!((message["a"], length), (1, 8));
}

#[test]
fn serde_sees_only_what_the_scan_allows() {
    assert_eq!(from_bytes::<Vec<i64>>(b"li1ei2ee", SMALL), Ok(vec![1, 2]));
    assert!(matches!(from_bytes::<Vec<i64>>(b"l1:xe", SMALL), Err(BencodeError::Shape(_))));
    assert_eq!(from_bytes::<Vec<i64>>(b"li1e", SMALL), Err(BencodeError::Truncated));
}

#[derive(Clone, Debug)]
enum Tree {
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Dict(BTreeMap<Vec<u8>, Tree>),
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Tree::Int),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Tree::Bytes)
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let key = prop::collection::vec(any::<u8>(), 0..6);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
            prop::collection::btree_map(key, inner, 0..6).prop_map(Tree::Dict)
        ]
    })
}

fn encode(tree: &Tree, out: &mut Vec<u8>) {
    let string = |bytes: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
    };
    match tree {
        Tree::Int(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
        Tree::Bytes(bytes) => string(bytes, out),
        Tree::List(members) => {
            out.push(b'l');
            members.iter().for_each(|member| encode(member, out));
            out.push(b'e');
        }
        Tree::Dict(members) => {
            out.push(b'd');
            for (key, value) in members {
                string(key, out);
                encode(value, out);
            }
            out.push(b'e');
        }
    }
}

fn same(tree: &Tree, value: Value<'_>) -> bool {
    match tree {
        Tree::Int(number) => value.as_int() == Some(*number),
        Tree::Bytes(bytes) => value.as_bytes() == Some(bytes),
        Tree::List(members) => value.as_list().is_some_and(|found| {
            let found: Vec<_> = found.collect();
            found.len() == members.len() && members.iter().zip(found).all(|(tree, value)| same(tree, value))
        }),
        Tree::Dict(members) => value.as_dict().is_some_and(|found| {
            let found: Vec<_> = found.collect();
            found.len() == members.len()
                && members
                    .iter()
                    .zip(found)
                    .all(|((key, tree), (found, value))| key == found && same(tree, value))
        }),
    }
}

proptest! {
    #[test]
    fn every_tree_is_found_as_it_was_written(tree in trees(), tail: Vec<u8>) {
        let mut bytes = Vec::new();
        encode(&tree, &mut bytes);
        prop_assert!(same(&tree, scan(&bytes, Limits::TORRENT).unwrap().root()));
        for end in 0..bytes.len() {
            prop_assert!(scan(&bytes[..end], Limits::TORRENT).is_err());
        }
        let length = bytes.len();
        bytes.extend_from_slice(&tail);
        prop_assert_eq!(scan_prefix(&bytes, Limits::TORRENT).unwrap().length(), length);
    }

    #[test]
    fn any_bytes_are_scanned_or_refused(bytes in prop::collection::vec(prop::sample::select(b"0123i-lde:x".as_slice()), 0..60)) {
        if let Ok(scan) = scan(&bytes, SMALL) {
            prop_assert_eq!(scan.root().raw(), &bytes[..]);
        }
    }
}
