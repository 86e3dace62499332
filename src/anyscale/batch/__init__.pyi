from anyscale.batch.sdk import default_calls as _calls

drop = _calls.drop
list = _calls.list  # noqa: A001 - the contract's name
show = _calls.show
undo = _calls.undo
