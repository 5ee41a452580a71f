/* What Linux takes for sockets of AF_BLUETOOTH: protocols, addresses, options.

   The kernel gives programs no header with these; those that have one take it from BlueZ. The names are the ones that
   CPython 3.10 to 3.14 use, the numbers and layouts the kernel's (include/net/bluetooth/ in its source). They are
   part of its interface to programs, which does not change. */

#ifndef LINUX_BLUETOOTH_H
#define LINUX_BLUETOOTH_H

#include <stdint.h>
#include <sys/socket.h>

#define BTPROTO_L2CAP 0
#define BTPROTO_HCI 1
#define BTPROTO_SCO 2
#define BTPROTO_RFCOMM 3

#define SOL_HCI 0
#define SOL_L2CAP 6
#define SOL_SCO 17
#define SOL_RFCOMM 18
#ifndef SOL_BLUETOOTH
#define SOL_BLUETOOTH 274
#endif

/* Bytes of an address, the last one first. */
typedef struct {
    uint8_t b[6];
} __attribute__((packed)) bdaddr_t;

#define BDADDR_BREDR 0
#define BDADDR_LE_PUBLIC 1
#define BDADDR_LE_RANDOM 2

struct sockaddr_l2 {
    sa_family_t l2_family;
    uint16_t l2_psm;
    bdaddr_t l2_bdaddr;
    uint16_t l2_cid;
    uint8_t l2_bdaddr_type;
};

#define L2CAP_LM 3
#define L2CAP_LM_MASTER 0x01
#define L2CAP_LM_AUTH 0x02
#define L2CAP_LM_ENCRYPT 0x04
#define L2CAP_LM_TRUSTED 0x08
#define L2CAP_LM_RELIABLE 0x10
#define L2CAP_LM_SECURE 0x20

struct sockaddr_rc {
    sa_family_t rc_family;
    bdaddr_t rc_bdaddr;
    uint8_t rc_channel;
};

struct sockaddr_sco {
    sa_family_t sco_family;
    bdaddr_t sco_bdaddr;
};

struct sockaddr_hci {
    sa_family_t hci_family;
    uint16_t hci_dev;
    uint16_t hci_channel;
};

#define HCI_DEV_NONE 0xffff

#define HCI_CHANNEL_RAW 0
#define HCI_CHANNEL_USER 1
#define HCI_CHANNEL_MONITOR 2
#define HCI_CHANNEL_CONTROL 3
#define HCI_CHANNEL_LOGGING 4

#define HCI_DATA_DIR 1
#define HCI_FILTER 2
#define HCI_TIME_STAMP 3

/* Options of SOL_BLUETOOTH, and their values. */
#define BT_SECURITY 4
#define BT_SECURITY_SDP 0
#define BT_SECURITY_LOW 1
#define BT_SECURITY_MEDIUM 2
#define BT_SECURITY_HIGH 3
#define BT_SECURITY_FIPS 4

#define BT_DEFER_SETUP 7

#define BT_FLUSHABLE 8
#define BT_FLUSHABLE_OFF 0
#define BT_FLUSHABLE_ON 1

#define BT_POWER 9
#define BT_POWER_FORCE_ACTIVE_OFF 0
#define BT_POWER_FORCE_ACTIVE_ON 1

#define BT_CHANNEL_POLICY 10
#define BT_CHANNEL_POLICY_BREDR_ONLY 0
#define BT_CHANNEL_POLICY_BREDR_PREFERRED 1
#define BT_CHANNEL_POLICY_AMP_PREFERRED 2

#define BT_VOICE 11
#define BT_VOICE_TRANSPARENT 0x0003
#define BT_VOICE_CVSD_16BIT 0x0060

#define BT_SNDMTU 12
#define BT_RCVMTU 13

#define BT_PHY 14
#define BT_PHY_BR_1M_1SLOT 0x0001
#define BT_PHY_BR_1M_3SLOT 0x0002
#define BT_PHY_BR_1M_5SLOT 0x0004
#define BT_PHY_EDR_2M_1SLOT 0x0008
#define BT_PHY_EDR_2M_3SLOT 0x0010
#define BT_PHY_EDR_2M_5SLOT 0x0020
#define BT_PHY_EDR_3M_1SLOT 0x0040
#define BT_PHY_EDR_3M_3SLOT 0x0080
#define BT_PHY_EDR_3M_5SLOT 0x0100
#define BT_PHY_LE_1M_TX 0x0200
#define BT_PHY_LE_1M_RX 0x0400
#define BT_PHY_LE_2M_TX 0x0800
#define BT_PHY_LE_2M_RX 0x1000
#define BT_PHY_LE_CODED_TX 0x2000
#define BT_PHY_LE_CODED_RX 0x4000

#define BT_MODE 15
#define BT_MODE_BASIC 0
#define BT_MODE_ERTM 1
#define BT_MODE_STREAMING 2
#define BT_MODE_LE_FLOWCTL 3
#define BT_MODE_EXT_FLOWCTL 4

#define BT_PKT_STATUS 16
#define BT_ISO_QOS 17
#define BT_CODEC 19

#endif /* LINUX_BLUETOOTH_H */
