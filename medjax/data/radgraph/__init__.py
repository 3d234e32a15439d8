"""RadGraph annotations of reports, and the triplets (position, entity, status) made of them."""
