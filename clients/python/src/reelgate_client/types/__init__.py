"""What requests and answers hold. Generated from the OpenAPI documents."""
