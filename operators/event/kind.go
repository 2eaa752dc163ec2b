package event

import "strings"

// kindNames are the names of the kinds as the Segment specifications spell them.
var kindNames = [KindCount]string{
	Unknown:           "Unknown",
	Identify:          "Identify",
	Alias:             "Alias",
	Page:              "Page",
	Screen:            "Screen",
	Group:             "Group",
	ProductViewed:     "Product Viewed",
	ProductAdded:      "Product Added",
	ProductRemoved:    "Product Removed",
	ProductsSearched:  "Products Searched",
	CartViewed:        "Cart Viewed",
	CheckoutStarted:   "Checkout Started",
	OrderCompleted:    "Order Completed",
	OrderRefunded:     "Order Refunded",
	ProductReviewed:   "Product Reviewed",
	EmailDelivered:    "Email Delivered",
	EmailOpened:       "Email Opened",
	EmailLinkClicked:  "Email Link Clicked",
	EmailBounced:      "Email Bounced",
	EmailMarkedAsSpam: "Email Marked as Spam",
	Unsubscribed:      "Unsubscribed",
	ProductClicked:    "Product Clicked",
	ProductListViewed: "Product List Viewed",
	OrderUpdated:      "Order Updated",
	OrderCancelled:    "Order Cancelled",
	WishlistAdded:     "Product Added to Wishlist",
	WishlistRemoved:   "Product Removed from Wishlist",
	EmailSent:         "Email Sent",
	EmailDeferred:     "Email Deferred",
	EmailReplied:      "Email Replied",
	MessageReceived:   "Service Message Received",
}

// KindName is the name of a kind as the Segment specifications spell it, such as
// "Order Completed"; "Unknown" for what is no kind.
func KindName(k Kind) string {
	if k >= KindCount {
		return kindNames[Unknown]
	}
	return kindNames[k]
}

// String is KindName.
func (k Kind) String() string { return KindName(k) }

// KindByName is the kind of a track event, whatever its spelling: letters of either
// case, "_" and "-" as blanks, the names of version 1 and of GA4. It also knows
// "Identify" and the other calls, as KindName writes them.
func KindByName(name string) (Kind, bool) {
	if k, _ := trackKind(name); k != Unknown {
		return k, true
	}
	for k := Identify; k <= Group; k++ {
		if strings.EqualFold(strings.TrimSpace(name), kindNames[k]) {
			return k, true
		}
	}
	return Unknown, false
}

// nameMax is the longest normalised name that can mean something to us.
const nameMax = 40

// trackKind is the kind of a track event, and whether the name is GA4's, whose
// values are counted differently.
func trackKind(name string) (kind Kind, ga4 bool) {
	var buf [nameMax]byte
	n, blank := 0, false
	for i := range len(name) {
		c := name[i]
		if c == ' ' || c == '_' || c == '-' || c == '\t' {
			blank = n > 0
			continue
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if n+2 > nameMax {
			return Unknown, false
		}
		if blank {
			buf[n] = ' '
			n, blank = n+1, false
		}
		buf[n] = c
		n++
	}
	key := buf[:n]
	if k := specKind(key); k != Unknown {
		return k, false
	}
	if k := ga4Kind(key); k != Unknown {
		return k, true
	}
	return Unknown, false
}

// specKind knows the names of the Segment specifications and those of their version 1.
func specKind(key []byte) Kind {
	switch string(key) {
	case "product viewed", "viewed product":
		return ProductViewed
	case "product added", "added product", "wishlist product added to cart":
		return ProductAdded
	case "product removed", "removed product":
		return ProductRemoved
	case "product clicked", "clicked product":
		return ProductClicked
	case "product list viewed", "viewed product category", "viewed product list":
		return ProductListViewed
	case "products searched", "searched products":
		return ProductsSearched
	case "cart viewed", "viewed cart":
		return CartViewed
	case "checkout started", "started checkout", "order started", "started order":
		return CheckoutStarted
	case "order completed", "completed order":
		return OrderCompleted
	case "order refunded", "refunded order":
		return OrderRefunded
	case "order updated", "updated order":
		return OrderUpdated
	case "order cancelled", "cancelled order", "order canceled", "canceled order":
		return OrderCancelled
	case "product reviewed", "reviewed product":
		return ProductReviewed
	case "product added to wishlist", "added product to wishlist":
		return WishlistAdded
	case "product removed from wishlist", "removed product from wishlist":
		return WishlistRemoved
	}
	return mailKind(key)
}

// mailKind knows the names of the Segment e-mail specification and our additions.
func mailKind(key []byte) Kind {
	switch string(key) {
	case "email delivered":
		return EmailDelivered
	case "email opened":
		return EmailOpened
	case "email link clicked":
		return EmailLinkClicked
	case "email bounced":
		return EmailBounced
	case "email marked as spam":
		return EmailMarkedAsSpam
	case "unsubscribed":
		return Unsubscribed
	case "email sent":
		return EmailSent
	case "email deferred":
		return EmailDeferred
	case "email replied", "email reply received":
		return EmailReplied
	case "service message received", "support message received":
		return MessageReceived
	}
	return Unknown
}

// ga4Kind knows the names of Google Analytics 4.
func ga4Kind(key []byte) Kind {
	switch string(key) {
	case "view item":
		return ProductViewed
	case "view item list":
		return ProductListViewed
	case "select item":
		return ProductClicked
	case "add to cart":
		return ProductAdded
	case "remove from cart":
		return ProductRemoved
	case "view cart":
		return CartViewed
	case "add to wishlist":
		return WishlistAdded
	case "begin checkout":
		return CheckoutStarted
	case "purchase":
		return OrderCompleted
	case "refund":
		return OrderRefunded
	case "search", "view search results":
		return ProductsSearched
	}
	return Unknown
}

// isMail tells whether an event is about a mail: such an event may come without a
// person's id, since the mail names the person.
func (k Kind) isMail() bool {
	switch k {
	case EmailDelivered, EmailOpened, EmailLinkClicked, EmailBounced, EmailMarkedAsSpam, Unsubscribed, EmailSent, EmailDeferred, EmailReplied:
		return true
	default:
		return false
	}
}

// isOrder tells whether the money of an event is that of an order or of a cart.
func (k Kind) isOrder() bool {
	switch k {
	case CheckoutStarted, OrderCompleted, OrderRefunded, OrderUpdated, OrderCancelled, CartViewed:
		return true
	default:
		return false
	}
}

// isProduct tells whether an event is about the one product that its properties name.
func (k Kind) isProduct() bool {
	switch k {
	case ProductViewed, ProductAdded, ProductRemoved, ProductClicked, ProductReviewed, WishlistAdded, WishlistRemoved:
		return true
	default:
		return false
	}
}
