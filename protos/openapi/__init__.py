"""Writes the OpenAPI documents of the public contracts: from the descriptor set, and from overlay.yaml what protos cannot say."""
