"""Relation extraction, DuIE 2.0: which triples of subject, predicate and object a text states, with side slots beside the object."""
