from anyscale import batch as batch
from anyscale import errors as errors
from anyscale import user as user
from anyscale.sdk import Anyscale as Anyscale

__version__: str
