"""Fixtures, slow oracles and writers of test files, shared by the tests."""
