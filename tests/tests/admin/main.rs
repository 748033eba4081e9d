//! The admin API and the commands beside it, over real HTTP on a real process: who may do what, what it does to tokens that
//! are out, and what is written down about it.

mod authorization;
mod browser;
mod description;
mod grants;
mod keys;
mod lists;
mod nouns;
mod trail;
