"""AWS records as Elastic Common Schema documents, as Elastic's AWS integration lays them out."""
