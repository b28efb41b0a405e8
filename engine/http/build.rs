//! The documents are in the binary: a change of one makes it anew.

fn main() {
    println!("cargo:rerun-if-changed=../docs");
    println!("cargo:rerun-if-changed=build.rs");
}
