CREATE ROLE billing LOGIN PASSWORD 'development';
CREATE ROLE billing_owner LOGIN PASSWORD 'development';
CREATE DATABASE billing OWNER billing_owner;
CREATE ROLE jobs LOGIN PASSWORD 'development';
CREATE ROLE jobs_owner LOGIN PASSWORD 'development';
CREATE DATABASE jobs OWNER jobs_owner;
CREATE ROLE webhooks LOGIN PASSWORD 'development';
CREATE ROLE webhooks_owner LOGIN PASSWORD 'development';
CREATE DATABASE webhooks OWNER webhooks_owner;
