//! What people do with their own accounts, in a browser without scripts.

mod apps;
mod keys;
mod links;
mod mail;
mod pages;
mod passkeys;
mod person;
mod providers;
mod second_factor;
mod sessions;
