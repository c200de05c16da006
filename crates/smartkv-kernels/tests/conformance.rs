//! Every implementation that this processor runs passes the suite.

use smartkv_kernels::{available, best, by_name, conformance};

#[test]
fn every_implementation_conforms() {
    for name in available() {
        conformance(by_name(name).unwrap());
    }
}

#[test]
fn names_find_what_is_available() {
    let names = available();
    assert_eq!(best().name(), names[0]);
    assert_eq!(names.last(), Some(&"scalar"));
    for name in names {
        assert_eq!(by_name(name).unwrap().name(), name);
    }
    assert!(by_name("").is_none());
}
