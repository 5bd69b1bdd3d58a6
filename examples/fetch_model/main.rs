//! x
fn main() {
    let _ = ureq::Agent::new_with_defaults();
}
