//! What the pages of the documentation say, as far as no program is needed to check it.

use suite::pages;
use suite::pages::Project;

#[test]
fn the_pages_are_right() {
    pages::report(pages::check(&Project::this()));
}
