-- Accounts beyond the watermark and up to this end may have some of their words: the index is filled
-- in segments, whose words are written in the order of the table. At or before the watermark it says
-- nothing.
alter table search_index add column end_publication integer not null default 0;

alter table search_index add column end_position integer not null default 0;
