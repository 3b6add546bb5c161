//! The one integration binary: every black-box test is a module of it.

mod workspace;
