"""Work that is accepted now and done later: async requests, batches, tasks."""
