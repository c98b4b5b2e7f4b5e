
mod call;
