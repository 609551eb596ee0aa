//! What is published of the differences is what the code says, and the square holds.

use labs::diff;
use labs::square;
use labs::stages;

#[test]
fn the_published_differences_are_those_of_the_code() {
    let problems = diff::problems(&stages::root()).unwrap();
    let problems = problems.join("\n");
    assert!(problems.is_empty(), "{problems}\nTo repair it: {}", diff::REPAIR);
}

#[test]
fn files_that_have_to_be_the_same_in_two_stages_are() {
    let problems = square::problems(&stages::root()).unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
