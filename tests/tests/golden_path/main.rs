//! The golden path: what an operator, an MCP client and the person behind it see when all goes well, and what happens
//! when it does not. Each test has a house of its own, and each runs on both stores.

mod ceilings;
mod client_documents;
mod confidential;
mod consent;
mod discovery;
mod fixed_client;
mod keys;
mod logout;
mod mapping;
mod organizations;
mod permissions;
mod redirects;
mod refresh;
mod registration;
mod restart;
mod token;
mod tools;
mod upstream;
