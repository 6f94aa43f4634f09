"""Seeded faults against the real code, judged by comparing sets: nothing lost, nothing foreign, nothing twice."""
