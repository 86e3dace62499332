from anyscale.user import models as models
from anyscale.user.sdk import default_calls as _calls

admin_batch_create = _calls.admin_batch_create
delete = _calls.delete
get = _calls.get
list = _calls.list  # noqa: A001 - the contract's name
reset_second_factor = _calls.reset_second_factor
restore = _calls.restore
set_password_link = _calls.set_password_link
set_role = _calls.set_role
suspend = _calls.suspend
sync = _calls.sync
update = _calls.update
users_file = _calls.users_file
verify = _calls.verify
