"""The pages of owners: users files, and the lists among many accounts."""
