//! The bencode of a `.torrent` file and of a new info dictionary, written by hand: the info dictionary must
//! go out byte for byte as it came in.

use super::{FileEntry, Metainfo};
use crate::infohash::Sha256Hash;
use crate::layout::FileIndex;

/// Bencode in the making. Callers write keys in sorted order.
#[derive(Default)]
pub(super) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn open_dict(&mut self) {
        self.out.push(b'd');
    }

    pub(super) fn open_list(&mut self) {
        self.out.push(b'l');
    }

    pub(super) fn close(&mut self) {
        self.out.push(b'e');
    }

    pub(super) fn string(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn integer(&mut self, number: impl std::fmt::Display) {
        self.out.extend_from_slice(format!("i{number}e").as_bytes());
    }

    fn strings(&mut self, strings: &[String]) {
        self.open_list();
        strings.iter().for_each(|string| self.string(string));
        self.close();
    }

    fn text_entry(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.string(key);
            self.string(text);
        }
    }
}

/// A whole `.torrent` file.
pub(super) fn torrent(metainfo: &Metainfo) -> Vec<u8> {
    let outer = &metainfo.outer;
    let mut writer = Writer::default();
    writer.open_dict();
    let first_tracker = outer.trackers.first().and_then(|tier| tier.first());
    writer.text_entry("announce", first_tracker.map(String::as_str));
    if outer.trackers.iter().map(Vec::len).sum::<usize>() > 1 {
        writer.string("announce-list");
        writer.open_list();
        outer.trackers.iter().for_each(|tier| writer.strings(tier));
        writer.close();
    }
    writer.text_entry("comment", outer.comment.as_deref());
    writer.text_entry("created by", outer.created_by.as_deref());
    if let Some(date) = outer.creation_date {
        writer.string("creation date");
        writer.integer(date);
    }
    writer.string("info");
    writer.out.extend_from_slice(metainfo.info_bytes());
    if metainfo.info_hashes().v2().is_some() {
        writer.string("piece layers");
        piece_layers(&mut writer, metainfo);
    }
    match &outer.url_list[..] {
        [] => {}
        [only] => writer.text_entry("url-list", Some(only)),
        urls => {
            writer.string("url-list");
            writer.strings(urls);
        }
    }
    writer.close();
    writer.into_bytes()
}

fn piece_layers(writer: &mut Writer, metainfo: &Metainfo) {
    let mut layers: Vec<(Sha256Hash, &[Sha256Hash])> = (0..metainfo.layout().file_count())
        .filter_map(|file| metainfo.layer_tree(FileIndex(file)))
        .map(|tree| (tree.root(), tree.piece_layer()))
        .collect();
    layers.sort_by_key(|&(root, _)| root);
    layers.dedup_by_key(|&mut (root, _)| root);
    writer.open_dict();
    for (root, layer) in layers {
        writer.string(root.as_bytes());
        writer.string(layer.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>());
    }
    writer.close();
}

/// A file tree (BEP 52) of files sorted by path.
pub(super) fn file_tree(writer: &mut Writer, files: &[FileEntry]) {
    let mut open: &[String] = &[];
    writer.open_dict();
    for file in files {
        let folders = &file.path[..file.path.len() - 1];
        let shared = open.iter().zip(folders).take_while(|(left, right)| left == right).count();
        (shared..open.len()).for_each(|_| writer.close());
        for folder in &folders[shared..] {
            writer.string(folder);
            writer.open_dict();
        }
        open = folders;
        writer.string(&file.path[folders.len()]);
        writer.open_dict();
        writer.string("");
        writer.open_dict();
        writer.string("length");
        writer.integer(file.size);
        if let Some(root) = file.pieces_root {
            writer.string("pieces root");
            writer.string(root.as_bytes());
        }
        writer.close();
        writer.close();
    }
    (0..open.len()).for_each(|_| writer.close());
    writer.close();
}

/// A v1 file list; `padding` says how many zeros follow each file (BEP 47).
pub(super) fn file_list(writer: &mut Writer, files: &[FileEntry], padding: impl Fn(FileIndex) -> u64) {
    writer.open_list();
    for (file, index) in files.iter().zip(0..) {
        entry(writer, file.size, &file.path);
        let zeros = padding(FileIndex(index));
        if zeros > 0 {
            padding_entry(writer, zeros);
        }
    }
    writer.close();
}

fn entry(writer: &mut Writer, size: u64, path: &[String]) {
    writer.open_dict();
    writer.string("length");
    writer.integer(size);
    writer.string("path");
    writer.strings(path);
    writer.close();
}

fn padding_entry(writer: &mut Writer, zeros: u64) {
    writer.open_dict();
    writer.string("attr");
    writer.string("p");
    writer.string("length");
    writer.integer(zeros);
    writer.string("path");
    writer.strings(&[".pad".to_owned(), zeros.to_string()]);
    writer.close();
}
