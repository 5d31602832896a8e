"""What NeuralFlow decides differently from django-allauth."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that limits are counted by: the one the middleware vouches for."""
        address: str = getattr(request, "client_address", "") or "unknown"
        return address
